"""Everything that a run changes as it goes: networks, optimizers, chance, guards and counts, as one checkpoint."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from impasto.core.generators.unet import UNet
from impasto.training.best_weights import Best
from impasto.training.checkpoint import load_checkpoint, save_checkpoint
from impasto.training.collapse_monitor import Monitor
from impasto.training.distributed import Team
from impasto.training.divergence_guard import Guard, Kept, clip_gradients, finite_gradients
from impasto.training.recipe import Recipe

if TYPE_CHECKING:
    from impasto.training.loop import Step


class Learners:
    """A network, its average and its critic, in training; owns them, and all that a checkpoint must hold of a run.

    Takes the new network and critic and moves them to the device. `judged` says that some pictures are held out, so
    that the best weights are kept beside the latest.
    """

    def __init__(self, net: UNet, critic: nn.Module, recipe: Recipe, device: str, *, judged: bool) -> None:
        self.device = device
        self.recipe = recipe
        self.net = net.to(device)
        self.averaged = copy.deepcopy(self.net).requires_grad_(False)
        self.critic = critic.to(device)
        for module in (self.net, self.averaged, self.critic):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in place; missing in the stubs
        # eps well above Adam's default: with the usual one, early steps of a norm-free net are too long.
        self.for_net = torch.optim.Adam(self.net.parameters(), recipe.learning_rate, betas=(0.9, 0.999), eps=1e-6)
        self.for_critic = torch.optim.Adam(self.critic.parameters(), recipe.learning_rate / 2, betas=(0.5, 0.99))
        self.good = Kept(copy.deepcopy(self.averaged), copy.deepcopy(self.critic))
        self.best = Best(copy.deepcopy(self.averaged)) if judged else None
        self.guard, self.monitor = Guard(), Monitor()
        self.drawn = torch.Generator().manual_seed(recipe.seed)
        self.number = 0
        self.seconds = 0.0
        self.means: dict[str, float] = {}
        """Running means of the figures of every step, of this process's share."""
        self._modules: dict[str, nn.Module] = {
            "net": self.net, "averaged": self.averaged, "critic": self.critic,
            "good": self.good.net, "good_critic": self.good.critic,
        }  # fmt: skip
        if self.best is not None:
            self._modules["best"] = self.best.net
        self._optimizers = {"for_net": self.for_net, "for_critic": self.for_critic}

    def take(self, losses: Step, fraction: float, mates: Team) -> None:
        """One step down these losses, `fraction` through the run, unless the guard skips it."""
        rate = self.rate(fraction)
        for optimizer, factor in ((self.for_net, 1.0), (self.for_critic, 0.5)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        self.for_net.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.generator)
        mates.average(self.net)
        if self.guard.admits(mates.told(clip_gradients(self.net)), self.number):
            self.for_net.step()
        if losses.critic is not None:
            self.for_critic.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.critic)
            mates.average(self.critic)
            if finite_gradients(self.critic):
                self.for_critic.step()
        follow(self.averaged, self.net, min(self.recipe.average, (self.number + 1) / (self.number + 10)))
        self.number += 1
        for name, value in losses.figures.items():
            value = value if math.isfinite(value) else self.means.get(name, 0.0)
            self.means[name] = 0.98 * self.means.get(name, value) + 0.02 * value

    def rate(self, fraction: float) -> float:
        """The learning rate of the next step, `fraction` through the run."""
        return self.recipe.rate_at(self.number, fraction) * self.guard.rate_at(self.number)

    def go_back(self) -> None:
        """Put the last good weights back into all networks, for half the learning rate."""
        self.good.restore(self.net, self.averaged, self.critic)
        for optimizer in self._optimizers.values():
            optimizer.state.clear()  # moments of the exploding steps would lead straight back there
        self.guard.note_return(self.number)
        self.means.clear()

    def look(self, error: float) -> None:
        """Take note of the error of the averaged weights on what is held out."""
        if self.best is not None:
            self.best.look(self.averaged, error)

    def chosen(self) -> UNet:
        """The weights to hand out."""
        return self.best.choose(self.averaged) if self.best is not None else self.averaged

    def save(self, path: Path, digest: str) -> None:
        """Write a checkpoint, with the SHA-256 of the pictures; OutputError where it cannot be written."""
        facts = {
            "step": self.number, "seconds": self.seconds, "data": digest, "recipe": self.recipe.as_json(),
            "guard": self.guard.facts(), "monitor": asdict(self.monitor), "means": self.means,
        }  # fmt: skip
        if self.best is not None:
            facts |= {"best": self.best.error, "latest": self.best.latest}
        save_checkpoint(path, self._modules, self._optimizers, {"crops": self.drawn}, facts, self.device)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that fits; TrainingError where it cannot be read."""
        facts = load_checkpoint(path, self._modules, self._optimizers, {"crops": self.drawn}, self.device)
        self.number, self.seconds, self.means = facts["step"], facts["seconds"], facts["means"]
        self.guard, self.monitor = Guard(**facts["guard"]), Monitor(**facts["monitor"])
        if self.best is not None:
            self.best.error, self.best.latest = facts["best"], facts["latest"]


@torch.no_grad()
def follow(averaged: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the live ones (exponential moving average), in place."""
    for slow, fast in zip(averaged.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
