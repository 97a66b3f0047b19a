"""Everything that a run changes: networks, optimizers, random numbers, guards and counts; one checkpoint holds it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from impasto.core.errors import TrainingError
from impasto.core.generators.unet import UNet
from impasto.training.best_weights import BestWeights
from impasto.training.checkpoint import load_checkpoint, save_checkpoint
from impasto.training.collapse_monitor import CollapseMonitor, Probe, signs
from impasto.training.distributed import ProcessGroup
from impasto.training.divergence_guard import DivergenceGuard, LastGoodWeights, clip_gradients, finite_gradients
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS
from impasto.training.recipe import Recipe
from impasto.training.task import StepLosses, Trained


class TrainingState:
    """A network, its average and its critic in training; owns them, and all else that a checkpoint holds of a run.

    Takes the new network and critic and moves them to the device. `validates` says that some data are held out, so
    that the best weights are kept beside the latest.
    """

    def __init__(self, net: UNet, critic: nn.Module, recipe: Recipe, device: str, *, validates: bool) -> None:
        self.device = device
        self.recipe = recipe
        self.net = net.to(device)
        self.averaged = copy.deepcopy(self.net).requires_grad_(False)
        self.critic = critic.to(device)
        for module in (self.net, self.averaged, self.critic):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in place; missing in the stubs
        # eps well above Adam's default: with the default, early steps of a network without norms are too long.
        self.for_net = torch.optim.Adam(self.net.parameters(), recipe.learning_rate, betas=(0.9, 0.999), eps=1e-6)
        self.for_critic = torch.optim.Adam(self.critic.parameters(), recipe.learning_rate / 2, betas=(0.5, 0.99))
        self.good = LastGoodWeights(copy.deepcopy(self.averaged), copy.deepcopy(self.critic))
        self.has_good_weights = False
        self.best = BestWeights(copy.deepcopy(self.averaged)) if validates else None
        self.guard, self.monitor = DivergenceGuard(), CollapseMonitor()
        self.rng = torch.Generator().manual_seed(recipe.seed)
        """Draws the batches."""
        self.steps = 0
        self.seconds = 0.0
        self.fraction = 0.0
        """How far the run is, 0 to 1, at the start of the step."""
        self.means: dict[str, float] = {}
        """Running means of the figures of every step, over this process's share."""
        self.figures: dict[str, float] = {}
        """The means over all processes when they were last logged, and the last error on held-out data."""
        # The names are those of the tensors in a checkpoint.
        self._modules: dict[str, nn.Module] = {
            "net": self.net, "averaged": self.averaged, "critic": self.critic,
            "good": self.good.net, "good_critic": self.good.critic,
        }  # fmt: skip
        if self.best is not None:
            self._modules["best"] = self.best.net
        self._optimizers = {"for_net": self.for_net, "for_critic": self.for_critic}

    def step(self, losses: StepLosses, group: ProcessGroup) -> None:
        """Take one step down these losses, unless the guard skips it, and move the averaged weights."""
        rate = self.learning_rate()
        for optimizer, factor in ((self.for_net, 1.0), (self.for_critic, 0.5)):
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate * factor
        self.for_net.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.generator)
        group.average_gradients(self.net)
        if self.guard.admits(group.broadcast(clip_gradients(self.net)), self.steps):
            self.for_net.step()
        if losses.critic is not None:
            self.for_critic.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.critic)
            group.average_gradients(self.critic)
            if finite_gradients(self.critic):
                self.for_critic.step()
        update_average(self.averaged, self.net, min(self.recipe.average, (self.steps + 1) / (self.steps + 10)))
        self.steps += 1
        for name, value in losses.figures.items():
            value = value if math.isfinite(value) else self.means.get(name, 0.0)
            self.means[name] = 0.98 * self.means.get(name, value) + 0.02 * value

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.recipe.rate_at(self.steps, self.fraction) * self.guard.rate_at(self.steps)

    def find_collapse(self, probe: Probe | None, group: ProcessGroup) -> str:
        """What is wrong with the results or the mean losses, in words; empty where nothing is."""
        seen = group.broadcast_figures(signs(self.averaged, probe)) if probe is not None else {}
        widest_gap = ADVERSARIAL_FORMS[self.recipe.adversarial_form].widest_gap
        return self.monitor.alarm(seen, self.figures, self.steps, widest_gap)

    def keep_good_weights(self) -> None:
        """Remember the weights as good, unless steps were skipped lately."""
        if self.guard.calm():
            self.good.keep(self.averaged, self.critic)
            self.has_good_weights = True

    def go_back(self) -> None:
        """Put the last good weights back into all networks, at half the learning rate."""
        self.good.restore(self.net, self.averaged, self.critic)
        for optimizer in self._optimizers.values():
            optimizer.state.clear()  # moments of the exploding steps would lead straight back there
        self.guard.note_return(self.steps)
        self.means.clear()

    def note_held_out(self, error: float) -> None:
        """Take note of the error of the averaged weights on held-out data."""
        self.figures["held_out"] = error
        if self.best is not None:
            self.best.note(self.averaged, error)

    def outcome(self, digest: str) -> Trained:
        """The weights to export, with the facts of the run; `digest` is that of the training data."""
        net = self.best.choose(self.averaged) if self.best is not None else self.averaged
        return Trained(net, self.steps, self.seconds, digest, dict(self.figures))

    def save(self, path: Path, digest: str) -> None:
        """Write a checkpoint, with the SHA-256 of the training data; OutputError where it cannot be written."""
        facts = {
            "step": self.steps, "seconds": self.seconds, "data": digest, "recipe": self.recipe.as_json(),
            "guard": self.guard.facts(), "monitor": asdict(self.monitor), "means": self.means,
        }  # fmt: skip
        if self.best is not None:
            facts |= {"best": self.best.error, "latest": self.best.latest}
        save_checkpoint(path, self._modules, self._optimizers, {"crops": self.rng}, facts, self.device)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint that fits; TrainingError where it cannot be read."""
        facts = load_checkpoint(path, self._modules, self._optimizers, {"crops": self.rng}, self.device)
        try:
            self.steps, self.seconds = int(facts["step"]), float(facts["seconds"])
            self.means = {str(name): float(value) for name, value in facts["means"].items()}
            self.guard, self.monitor = (
                _like(DivergenceGuard(), facts["guard"]),
                _like(CollapseMonitor(), facts["monitor"]),
            )
            if self.best is not None:
                self.best.error, self.best.latest = float(facts["best"]), float(facts["latest"])
        except (LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise TrainingError(
                f"expected the facts of a run in '{path}', could not use them: {error}; start anew without --resume"
            ) from error
        self.has_good_weights = self.steps > 0


T = TypeVar("T", DivergenceGuard, CollapseMonitor)


def _like(fresh: T, facts: Mapping[str, Any]) -> T:
    """A value of the same class with stored facts; TypeError for one of another kind than it has at first."""
    for name, value in facts.items():
        kind = type(getattr(fresh, name))
        if not isinstance(value, (int, float) if kind is float else kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    return replace(fresh, **facts)


@torch.no_grad()
def update_average(averaged: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the live ones (exponential moving average), in place."""
    for slow, fast in zip(averaged.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
