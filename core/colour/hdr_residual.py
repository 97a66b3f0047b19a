"""The HDR residual: light that the network cannot see goes around it, so an identity network gives back the plate.

The network sees [0, 1]. Light above 1 and below 0 is taken off a plate before the network and put
back after it, per pixel, with no statistic of the picture: a tile and the full frame agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.core.colour.samples import in_each_channel
from impasto.core.colour.srgb import decode, encode
from impasto.core.frame import Samples


@dataclass(frozen=True, slots=True)
class Residual:
    """What the network does not see of a plate; None where there is nothing.

    `floor` (H, W, 3) holds the negative light, `gain` (H, W) the brightest channel above 1.
    """

    floor: Samples | None
    gain: Samples | None


def residual_of(linear: Samples) -> Residual:
    """The residual of (H, W, 3) float32 scene-linear Rec.709 of any value; NaN in a pixel stays in that pixel.

    floor = min(x, 0) per channel, gain = max(1, max(rgb)) per pixel.
    """
    floor = np.minimum(linear, np.float32(0)) if np.fmin.reduce(linear, axis=None) < 0 else None
    gain = None
    if np.fmax.reduce(linear, axis=None) > 1:
        gain = np.maximum(brightest(linear), np.float32(1))
    return Residual(floor, gain)


def without_residual(linear: Samples, residual: Residual) -> Samples:
    """The picture that the network sees: encode((x - floor) / gain), (H, W, 3) float32, sRGB-encoded, in [0, 1]."""
    visible = linear
    if residual.floor is not None:
        visible = np.maximum(visible, np.float32(0))
    if residual.gain is not None:
        visible = np.divide(visible, in_each_channel(residual.gain), dtype=np.float32)
    return encode(visible)


def add_residual(picture: Samples, residual: Residual) -> Samples:
    """The network's picture with everything put back: decode(y) * gain + floor, scene-linear Rec.709, new array.

    Values outside [0, 1] are kept.
    """
    light = decode(picture)
    if residual.gain is not None:
        light *= in_each_channel(residual.gain)
    if residual.floor is not None:
        light += residual.floor
    return light


def brightest(pixels: Samples) -> Samples:
    """The largest of three channels, (H, W, 3) -> (H, W); several times quicker than max(axis=2)."""
    largest = np.maximum(pixels[..., 0], pixels[..., 1])
    return np.maximum(largest, pixels[..., 2], out=largest)
