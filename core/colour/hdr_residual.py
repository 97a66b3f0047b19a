"""The HDR residual: light that the network cannot see goes around it, so an identity network gives back the plate.

The network sees [0, 1]. Light above 1 and below 0 is taken off a plate before the network and put
back after it, per pixel, with no statistic of the picture: a tile and the full frame agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.core.colour.fill import fill_invalid
from impasto.core.colour.srgb import decode, encode
from impasto.core.frame import Samples


@dataclass(frozen=True, slots=True)
class Residual:
    """What was taken off a plate before the network; None where nothing was.

    `floor` (H, W, 3) holds the negative light, `gain` (H, W, 1) the brightest channel above 1. `invalid` (H, W)
    is True where a channel is NaN or infinite. `linear` is the plate itself, which `add_residual` puts back there.
    """

    floor: Samples | None
    gain: Samples | None
    invalid: npt.NDArray[np.bool_] | None
    linear: Samples

    @property
    def invalid_count(self) -> int:
        """Pixels with a NaN or infinite channel."""
        return 0 if self.invalid is None else int(np.count_nonzero(self.invalid))


def split_residual(linear: Samples) -> tuple[Samples, Residual]:
    """The picture that the network sees, and the rest: from (H, W, 3) float32 scene-linear Rec.709 of any value.

    n = min(x, 0) per channel, g = max(1, max(rgb)) per pixel, and the picture is encode((x - n) / g):
    (H, W, 3) float32, sRGB-encoded Rec.709 in [0, 1], finite. A pixel with a NaN or infinite channel gets the colour
    of its neighbours, so that no hole is painted, and is counted. The residual keeps the argument unwritten.
    """
    visible, invalid = fill_invalid(linear)

    floor = None
    if visible.min() < 0:
        floor = np.minimum(visible, np.float32(0))
        visible = np.maximum(visible, np.float32(0))

    gain = None
    if visible.max() > 1:
        gain = np.maximum(brightest(visible), np.float32(1))[..., None]
        visible = np.divide(visible, gain, dtype=np.float32)
    return encode(visible), Residual(floor, gain, invalid, linear)


def add_residual(picture: Samples, residual: Residual) -> Samples:
    """The network's picture with everything put back: decode(y)·g + n, scene-linear Rec.709, new array.

    Values outside [0, 1] are kept. Pixels that were NaN or infinite come back as they were.
    """
    light = decode(picture)
    if residual.gain is not None:
        light *= residual.gain
    if residual.floor is not None:
        light += residual.floor
    if residual.invalid is not None:
        light[residual.invalid] = residual.linear[residual.invalid]
    return light


def brightest(pixels: Samples) -> Samples:
    """The largest of three channels, (H, W, 3) -> (H, W); several times quicker than max(axis=2)."""
    largest = np.maximum(pixels[..., 0], pixels[..., 1])
    return np.maximum(largest, pixels[..., 2], out=largest)
