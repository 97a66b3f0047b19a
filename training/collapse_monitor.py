"""Signs of a network that collapses or runs away, seen on a fixed batch that is looked at now and then.

Every sign is a ratio to the pictures that the network learns to make, never to the plates: a flat cel and a pencil
drawing are far from a plate and healthy. A student begins far from its pictures too, so that a sign alarms only where
it is out of its band and has become plainly worse than it once was.
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
    """A fixed batch to look at: plates (N, 3, H, W), wanted pictures (M, 3, H, W), and where these may be judged."""

    plates: Tensor
    wanted: Tensor
    judged: Tensor | None = None
    """(N, 1, H, W), where the wanted pictures are those of the plates; None where they belong to no plate."""
    styles: Tensor | None = None
    """(N) int64, in which of a network's styles; None for the first."""
    guides: Tensor | None = None
    """(N, planes, H, W), guide planes of the plates; None for none."""


@dataclass(frozen=True, slots=True)
class Band:
    """What a sign is called in a sentence, and between what it may lie."""

    said: str
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
    if probe.judged is not None:
        # What is not judged was never learned: the truth stands in for it.
        result = torch.where(probe.judged.to(device) > 0, result, wanted)
    return {
        "variety": _ratio(_variety(result), _variety(wanted)),
        "contrast": _ratio(float(result.std()), float(wanted.std())),
        "sharpness": _ratio(_sharpness(result), _sharpness(wanted)),
        "lattice": _ratio(_lattice(result), _lattice(wanted)),
        "overshoot": 1 + float(F.relu((result - 0.5).abs() - 0.5).mean()) / LEVEL,
    }


@dataclass(slots=True)
class Monitor:
    """Remembers how well each sign has stood, and says when one is lost; all of it numbers, for the checkpoint."""

    nearest: dict[str, float] = field(default_factory=dict)
    """The smallest distance of each sign from 1, as a logarithm."""
    lowest: float = math.inf
    """The lowest mean of the reconstruction loss."""

    def alarm(self, seen: Mapping[str, float], figures: Mapping[str, float], step: int, widest_gap: float) -> str:
        """What is wrong, in words, or nothing; from the signs, and from the run's mean figures.

        `widest_gap` is how far the critic's scores of real and generated pictures may lie apart.
        """
        told = next((told for name, value in seen.items() if (told := self._lost(name, value))), "")
        gap = figures.get("critic_gap", 0.0)
        if not told and not -widest_gap / 4 <= gap <= widest_gap:
            told = f"the critic tells real from generated pictures by {gap:.2g}, at most {widest_gap:g} is healthy"
        reconstruction = figures.get("reconstruction", 0.0)
        if step >= SETTLED and not told:
            if reconstruction > RISEN * self.lowest > 0:
                told = f"the reconstruction loss is {reconstruction:.2g}, it was {self.lowest:.2g}"
            self.lowest = min(self.lowest, reconstruction)
        return told

    def _lost(self, name: str, value: float) -> str:
        band = BANDS[name]
        distance = abs(math.log(max(value, 1e-6))) if math.isfinite(value) else math.inf
        best = self.nearest.get(name, math.inf)
        if not band.least <= value <= band.most and distance > best + math.log(WORSE):
            return band.said.format(value)
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
    """How strong that is which alternates from pixel to pixel in both directions, in step over 16 pixels and more.

    Edges and grain alternate as well, but not in step.
    """
    even, odd = pictures[..., 0::2, :], pictures[..., 1::2, :]
    crossed = (even[..., 0::2] - even[..., 1::2] - odd[..., 0::2] + odd[..., 1::2]) / 4
    return float(F.avg_pool2d(crossed, 8).abs().mean())
