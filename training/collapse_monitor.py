"""Signs of a network that collapses or diverges, measured now and then on a fixed batch.

Every sign is a ratio to the pictures that the network learns to make, never to the plates: a flat cel and a pencil
drawing are far from a plate and healthy. A new network is far from its pictures too, so a sign alarms only where it is
out of its band and has become clearly worse than it once was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.generators.unet import UNet
from impasto.training.data.guides import with_guides

LEVEL = 1 / 255
"""One step of 8 bits: differences below it are none, so that a flat target gives no infinite ratios."""
WORSE = 1.5
"""A sign must be this many times farther from 1 than it was at its best."""
RISEN = 3.0
"""The reconstruction loss may be this many times its lowest mean."""
SETTLED = 300
"""Steps before losses are compared with their lowest: until then they fall from wherever the draw of weights began."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A fixed batch: plates (N, 3, H, W), wanted pictures (M, 3, H, W), and the loss mask of these."""

    plates: Tensor
    wanted: Tensor
    loss_mask: Tensor | None = None
    """(N, 1, H, W), where the wanted pictures are those of the plates; None where they belong to no plate."""
    styles: Tensor | None = None
    """(N) int64, the style of each in the network; None for the first."""
    guides: Tensor | None = None
    """(N, planes, H, W), guide planes of the plates; None for none."""


@dataclass(frozen=True, slots=True)
class Band:
    """The sentence for a sign that alarms, and its healthy range."""

    sentence: str
    least: float
    most: float


BANDS: dict[str, Band] = {
    "variety": Band("results of different plates differ {:.2g} times as much as the pictures they should be", 0.35, 4),
    "contrast": Band("the contrast of results is {:.2g} times that of the pictures they should be", 0.35, 3),
    "sharpness": Band("results are {:.2g} times as sharp as the pictures they should be", 0.25, 3),
    "lattice": Band("a chequerboard of 2 pixels is {:.2g} times as strong as in the pictures they should be", 0, 3),
    "overshoot": Band("results leave the range of a picture by {:.2g} steps of 8 bits on average", 0, 6),
}
"""Name of a sign -> its band; `overshoot` counts from 1, so that nothing out of range is healthy."""


@torch.no_grad()
def signs(net: UNet, probe: Probe) -> dict[str, float]:
    """Every sign of `BANDS` on a probe."""
    device = next(net.parameters()).device
    plates, wanted = probe.plates.to(device), probe.wanted.to(device)
    code = None if probe.styles is None or net.codes is None else net.codes[probe.styles.to(device)]
    gain, bias = net(with_guides(plates, None if probe.guides is None else probe.guides.to(device)), code)
    result = gain * plates + bias
    if probe.loss_mask is not None:
        # What the loss mask leaves out was never learned: the target stands in for it.
        result = torch.where(probe.loss_mask.to(device) > 0, result, wanted)
    return {
        "variety": _ratio(_variety(result), _variety(wanted)),
        "contrast": _ratio(float(result.std()), float(wanted.std())),
        "sharpness": _ratio(_sharpness(result), _sharpness(wanted)),
        "lattice": _ratio(_lattice(result), _lattice(wanted)),
        "overshoot": 1 + float(F.relu((result - 0.5).abs() - 0.5).mean()) / LEVEL,
    }


@dataclass(slots=True)
class CollapseMonitor:
    """Remembers the best of each sign, and alarms when one is lost; all fields are numbers, for the checkpoint."""

    nearest: dict[str, float] = field(default_factory=dict)
    """The smallest distance of each sign from 1, as a logarithm."""
    lowest: float = math.inf
    """The lowest mean of the reconstruction loss."""

    def alarm(self, seen: Mapping[str, float], figures: Mapping[str, float], step: int, widest_gap: float) -> str:
        """What is wrong, in words, or nothing; from the signs, and from the run's mean figures.

        `widest_gap` is how far the critic's scores of real and generated pictures may lie apart.
        """
        alarm = next((alarm for name, value in seen.items() if (alarm := self._lost(name, value))), "")
        gap = figures.get("critic_gap", 0.0)
        if not alarm and not -widest_gap / 4 <= gap <= widest_gap:
            alarm = f"the critic tells real from generated pictures by {gap:.2g}, at most {widest_gap:g} is healthy"
        reconstruction = figures.get("reconstruction", 0.0)
        if step >= SETTLED and not alarm:
            if reconstruction > RISEN * self.lowest > 0:
                alarm = f"the reconstruction loss is {reconstruction:.2g}, it was {self.lowest:.2g}"
            self.lowest = min(self.lowest, reconstruction)
        return alarm

    def _lost(self, name: str, value: float) -> str:
        band = BANDS[name]
        distance = abs(math.log(max(value, 1e-6))) if math.isfinite(value) else math.inf
        best = self.nearest.get(name, math.inf)
        if not band.least <= value <= band.most and distance > best + math.log(WORSE):
            return band.sentence.format(value)
        if math.isfinite(distance):
            self.nearest[name] = min(best, distance)
        return ""


def _ratio(ours: float, theirs: float) -> float:
    return (ours + LEVEL) / (theirs + LEVEL)


def _variety(pictures: Tensor) -> float:
    """How far pictures of a batch lie from their mean, pixel by pixel."""
    return float(pictures.std(dim=0, correction=0).mean())


def _sharpness(pictures: Tensor) -> float:
    luma = pictures.mean(dim=1)
    return float(luma.diff(dim=1).abs().mean() + luma.diff(dim=2).abs().mean())


def _lattice(pictures: Tensor) -> float:
    """How strongly pixels alternate in both directions, in step over 16 pixels and more.

    Edges and grain alternate as well, but not in step.
    """
    even, odd = pictures[..., 0::2, :], pictures[..., 1::2, :]
    crossed = (even[..., 0::2] - even[..., 1::2] - odd[..., 0::2] + odd[..., 1::2]) / 4
    return float(F.avg_pool2d(crossed, 8).abs().mean())
