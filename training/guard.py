"""What keeps a run alive: steps that would ruin it are skipped, and too many of them roll it back.

An unbounded generator without norms explodes sooner or later; each rule here was learned from a
run that did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

CLIP = 1.0
"""Gradients are scaled down to this norm."""
SPIKE = 8.0
"""A step whose gradient norm exceeds the running mean this many times is skipped."""
WINDOW = 200
TOO_MANY = 10
"""Skipped steps within the window after which the run goes back to its last good weights."""


@dataclass(slots=True)
class Guard:
    """Watches gradient norms and keeps the last good averaged weights."""

    mean_norm: float = 5.0
    skipped: list[int] = field(default_factory=list)
    rollbacks: int = 0
    rate_factor: float = 1.0
    good: dict[str, Tensor] = field(default_factory=dict)

    def admits(self, net: nn.Module, step: int) -> bool:
        """Clip the gradients and say whether this step may be taken."""
        norm = float(nn.utils.clip_grad_norm_(net.parameters(), CLIP))
        finite = norm == norm and norm != float("inf")
        spike = not finite or norm > SPIKE * self.mean_norm
        if finite:
            self.mean_norm = 0.98 * self.mean_norm + 0.02 * min(norm, SPIKE * self.mean_norm)
        self.skipped = [when for when in self.skipped if when > step - WINDOW] + [step] * spike
        return not spike

    def keep(self, averaged: nn.Module) -> None:
        """Remember these weights as good; call it while nothing was skipped lately."""
        self.good = {name: value.detach().clone() for name, value in averaged.state_dict().items()}

    def diverged(self) -> bool:
        """Whether too many steps were skipped lately."""
        return len(self.skipped) > TOO_MANY

    @torch.no_grad()
    def roll_back(self, net: nn.Module, averaged: nn.Module) -> None:
        """Put the last good weights back into both networks and halve the learning rate."""
        if self.good:
            net.load_state_dict(self.good)
            averaged.load_state_dict(self.good)
        self.rate_factor *= 0.5
        self.rollbacks += 1
        self.skipped = []
        self.mean_norm = 5.0
