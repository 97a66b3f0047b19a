"""What the network cannot see is carried around it, so that an identity network gives back the plate.

The network sees [0, 1]. Light above 1 and below 0 is taken off a plate before the network and put
back after it, per pixel, with no statistic of the picture: a tile and the full frame agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.core.colour.curve import decode, encode
from impasto.core.colour.fill import fill_invalid
from impasto.core.frame import Samples


@dataclass(frozen=True, slots=True)
class Carried:
    """A plate as the network sees it, and what was taken off it; None where nothing was.

    `picture` is (H, W, 3) float32, sRGB-encoded Rec.709 in [0, 1], finite. `floor` (H, W, 3) holds the
    negative light, `gain` (H, W, 1) the brightest channel above 1, `invalid` (H, W) is True where a
    channel is NaN or infinite, and `linear` is the plate itself, which `join` puts back there.
    """

    picture: Samples
    floor: Samples | None
    gain: Samples | None
    invalid: npt.NDArray[np.bool_] | None
    linear: Samples

    @property
    def invalid_count(self) -> int:
        """Pixels with a NaN or infinite channel."""
        return 0 if self.invalid is None else int(np.count_nonzero(self.invalid))


def split(linear: Samples) -> Carried:
    """Take off what the network cannot see: (H, W, 3) float32 scene-linear Rec.709 of any value.

    n = min(x, 0) per channel, g = max(1, max(rgb)) per pixel, and the picture is
    encode((x - n) / g). A pixel with a NaN or infinite channel is shown as its neighbours are, so that
    no hole is painted, and is counted. The argument is kept and not written to.
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
    return Carried(encode(visible), floor, gain, invalid, linear)


def join(picture: Samples, carried: Carried) -> Samples:
    """The network's picture with everything put back: decode(y)·g + n, scene-linear Rec.709, new array.

    Values outside [0, 1] are meant and kept. Pixels that were NaN or infinite come back as they were.
    """
    light = decode(picture)
    if carried.gain is not None:
        light *= carried.gain
    if carried.floor is not None:
        light += carried.floor
    if carried.invalid is not None:
        light[carried.invalid] = carried.linear[carried.invalid]
    return light


def brightest(pixels: Samples) -> Samples:
    """The largest of three channels, (H, W, 3) -> (H, W); several times quicker than max(axis=2)."""
    largest = np.maximum(pixels[..., 0], pixels[..., 1])
    return np.maximum(largest, pixels[..., 2], out=largest)
