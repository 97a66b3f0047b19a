"""OpenCV's area, linear and cubic resampling in tensors, and the fill of holes that needs them.

Each new sample along a side is a weighted sum of a few old ones: `Taps` say which. numpy computes them in double
precision; they stay on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impasto.core.colour.fill import GREATEST_LIGHT

Interpolation = Literal["area", "linear", "cubic"]


@dataclass(frozen=True, slots=True)
class Taps:
    """For each new sample along one side: which old ones (places, new) it is the sum of, and how much of each."""

    places: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]


def resized(picture: Tensor, size: tuple[int, int], method: Interpolation) -> Tensor:
    """(C, H, W) float32 as (C, *size), as `cv2.resize` with INTER_AREA (smaller), INTER_LINEAR or INTER_CUBIC."""
    device = str(picture.device)
    for side in (1, 2):
        old, new = picture.shape[side], size[side - 1]
        if old != new:
            picture = _along(picture, side, _taps(old, new, method, device))
    return picture


def filled(colour: Tensor, weight: Tensor) -> Tensor:
    """`impasto.core.colour.fill` for a picture with at least one hole and one pixel that is none."""
    holes = weight <= 0
    unknown = holes | colour.isnan().any(dim=0, keepdim=True)
    known = torch.where(unknown, 0.0, colour.clamp(-float(GREATEST_LIGHT), float(GREATEST_LIGHT)))
    return torch.where(holes, _pull_push(known, torch.where(unknown, 0.0, weight)), colour)


def _pull_push(colour: Tensor, weight: Tensor) -> Tensor:
    """The pyramid down to a single pixel. A test whether a level still has holes would wait for the device."""
    height, width = weight.shape[1:]
    if height == width == 1:
        return colour
    size = ((height + 1) // 2, (width + 1) // 2)
    total = resized(weight, size, "area")
    weighted = resized(colour * weight, size, "area").div_(total.clamp(min=1e-12))
    smooth = resized(_pull_push(weighted, total), (height, width), "linear")
    return torch.where(weight > 0, colour, smooth)


def _along(picture: Tensor, side: int, taps: Taps) -> Tensor:
    shape = [-1 if axis == side else 1 for axis in range(3)]
    parts = zip(taps.places, taps.weights, strict=True)
    place, weight = next(parts)
    total = picture.index_select(side, place).mul_(weight.view(shape))
    for place, weight in parts:
        total.addcmul_(picture.index_select(side, place), weight.view(shape))
    return total


@lru_cache(maxsize=256)
def _taps(old: int, new: int, method: Interpolation, device: str) -> Taps:
    places, weights = TAPS[method](old, new)
    # Zero times NaN is NaN: a tap without weight reads the same sample as the heaviest one.
    heaviest = np.take_along_axis(places, weights.argmax(axis=1)[:, None], axis=1)
    places = np.where(weights == 0, heaviest, places)
    return Taps(
        tuple(torch.from_numpy(np.ascontiguousarray(row)).to(device) for row in places.T),
        tuple(torch.from_numpy(np.ascontiguousarray(row, np.float32)).to(device) for row in weights.T),
    )


TapTable = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def area_taps(old: int, new: int) -> TapTable:
    """Each new sample is the mean of the old ones that it covers, each by the share that is covered."""
    scale = old / new
    starts = np.arange(new) * scale
    ends = np.minimum(starts + scale, old)
    places = np.floor(starts)[:, None].astype(np.int64) + np.arange(int(np.ceil(scale)) + 1)
    covered = np.minimum(places + 1, ends[:, None]) - np.maximum(places, starts[:, None])
    # Double arithmetic leaves slivers of a neighbour where the edges of two samples meet.
    covered[covered < 1e-6] = 0
    used = covered.any(axis=0)
    places, covered = np.minimum(places, old - 1)[:, used], covered[:, used]
    return places, covered / covered.sum(axis=1, keepdims=True)


def linear_taps(old: int, new: int) -> TapTable:
    """Each new sample lies between the two nearest; beyond the last one it has the value of the last."""
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.minimum(np.floor(at).astype(np.int64), max(old - 2, 0))
    part = at - first
    return np.stack((first, np.minimum(first + 1, old - 1)), axis=1), np.stack((1 - part, part), axis=1)


def cubic_taps(old: int, new: int) -> TapTable:
    """The cubic of parameter -0.75 through four neighbours (Keys 1981, equation 4), edges repeated."""
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    first = np.floor(at).astype(np.int64)
    x, a = at - first, -0.75
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    here = ((a + 2) * x - (a + 3)) * x * x + 1
    after = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    weights = np.stack((before, here, after, 1 - before - here - after), axis=1)
    return np.clip(first[:, None] + np.arange(-1, 3), 0, old - 1), weights


TAPS = {"area": area_taps, "linear": linear_taps, "cubic": cubic_taps}
