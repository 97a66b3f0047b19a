"""Guard against divergence: it skips steps that would ruin a run, and sends the run back after too many of them.

A generator without normalisation diverges sooner or later. Each rule here comes from a run that did.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from impasto.core.generators.unet import UNet

CLIP = 1.0
"""Gradients are scaled down to this norm."""
SPIKE = 8.0
"""A step whose gradient norm exceeds the running mean this many times is skipped."""
FIRST = 100
"""In the first steps `EARLY_SPIKE` is the limit instead of `SPIKE`, because norms grow with the learning rate."""
EARLY_SPIKE = 30.0
FEW = 5
"""The very first steps are taken whatever their norm, if it is finite. They show what is usual in this run."""
IN_A_ROW = 4
"""Skipped steps in a row after which the run goes back to its last good weights. A skipped step changes nothing: if so
many batches spike one after the other, the weights are ruined, and to go on would spoil the averaged weights too."""
WINDOW = 200
TOO_MANY = 10
"""Skipped steps within the window after which the run goes back to its last good weights."""
TOLERATED = 2
"""Weights are kept as good as long as no more steps than this were skipped within the window."""
WARM_UP = 30
"""Steps over which the learning rate rises again after a return: a fresh optimizer takes long first steps."""
MOST_RETURNS = 6
"""Returns to good weights after which a run ends. By then its learning rate is a hundredth, and nothing has helped."""


@dataclass(slots=True)
class DivergenceGuard:
    """Watches gradient norms and counts skipped steps and returns; all fields are numbers, for the checkpoint."""

    mean_norm: float = 0.0
    """The running mean of the gradient norm, over the steps that were taken."""
    taken: int = 0
    skipped: list[int] = field(default_factory=list)
    in_a_row: int = 0
    not_finite: int = 0
    """How many of the skipped steps in the window had no finite gradient."""
    rollbacks: int = 0
    rolled_at: int = -WARM_UP
    rate_factor: float = 1.0

    def admits(self, norm: float, step: int) -> bool:
        """Whether the step with gradients of this norm may be taken."""
        finite = math.isfinite(norm)
        limit = (SPIKE if self.taken >= FIRST else EARLY_SPIKE) * self.mean_norm
        spike = not finite or (self.taken >= FEW and norm > limit)
        self.skipped = [when for when in self.skipped if when > step - WINDOW] + [step] * spike
        if spike:
            self.in_a_row += 1
            self.not_finite += not finite
            return False
        # A spike is no part of the mean: a mean that follows the spikes soon lets them pass.
        weight = max(0.02, 1 / (self.taken + 1))
        self.mean_norm += weight * (norm - self.mean_norm)
        self.taken += 1
        self.in_a_row = 0
        if not self.skipped:
            self.not_finite = 0
        return True

    def alarm(self) -> str:
        """A sentence that says what is wrong with the gradients; empty while nothing is."""
        kind = "had no finite loss" if self.not_finite else "had gradients far larger than usual"
        if self.in_a_row >= IN_A_ROW:
            return f"{self.in_a_row} steps in a row {kind}"
        if len(self.skipped) > TOO_MANY:
            return f"{len(self.skipped)} of the last {WINDOW} steps {kind}"
        return ""

    def calm(self) -> bool:
        """Whether few enough steps were skipped lately for the weights to count as good."""
        return len(self.skipped) <= TOLERATED and not self.in_a_row

    def note_return(self, step: int) -> None:
        """Note a return to good weights. It halves the learning rate."""
        self.rate_factor *= 0.5
        self.rollbacks += 1
        self.rolled_at = step
        self.skipped, self.in_a_row, self.not_finite = [], 0, 0

    def exhausted(self) -> bool:
        """Whether the run has gone back as often as it may."""
        return self.rollbacks >= MOST_RETURNS

    def rate_at(self, step: int) -> float:
        """The factor on the learning rate at a step."""
        return self.rate_factor * min(1.0, (step - self.rolled_at + 1) / WARM_UP)

    def facts(self) -> dict[str, Any]:
        """Everything, for a checkpoint; `DivergenceGuard(**facts)` is the same guard."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LastGoodWeights:
    """Copies of the last good weights: the averaged ones of the generator, and the critic's of the same step."""

    net: UNet
    critic: nn.Module

    def keep(self, averaged: UNet, critic: nn.Module) -> None:
        """Keep these weights as good. Call it only while the guard is calm."""
        self.net.load_state_dict(averaged.state_dict())
        self.critic.load_state_dict(critic.state_dict())

    def restore(self, net: UNet, averaged: UNet, critic: nn.Module) -> None:
        """Put the last good weights back."""
        net.load_state_dict(self.net.state_dict())
        averaged.load_state_dict(self.net.state_dict())
        critic.load_state_dict(self.critic.state_dict())


def clip_gradients(net: nn.Module) -> float:
    """Scale the gradients of a network down to the norm `CLIP`, and return the norm that they had."""
    return float(nn.utils.clip_grad_norm_(net.parameters(), CLIP))


def finite_gradients(net: nn.Module) -> bool:
    """Whether every gradient of a network is finite."""
    return all(bool(torch.isfinite(each.grad).all()) for each in net.parameters() if each.grad is not None)
