"""Motion vectors of a frame as offsets, at the small size at which keys are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.core.errors import UsageError
from impasto.core.frame import Part, Samples, Window, find_channel
from impasto.core.motion.layers import MotionLayer, VectorChannels

FARTHEST = 1e5
"""Length in pixels from which a vector means that nothing is there."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where each pixel lies in a neighbouring frame: (h, w, 2) offsets x, y downwards in pixels of this size.

    `known` is (h, w); unknown offsets are 0.
    """

    flow: Samples
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Vectors:
    """The motion of one frame to its neighbours; None for a direction that was not rendered."""

    next: Field | None
    previous: Field | None

    def towards(self, side: int) -> Field | None:
        """The motion to the next frame for 1, to the previous for -1."""
        return self.next if side > 0 else self.previous


@dataclass(frozen=True, slots=True)
class PlateWindows:
    """The windows of the plates of a shot, and the height and width at which they are compared."""

    data: Window
    display: Window
    size: tuple[int, int]


def vectors_of(parts: Sequence[Part], layer: MotionLayer, plate: PlateWindows, source: str) -> Vectors:
    """The vectors of a picture, aligned with the plate by the display windows, as guide layers are.

    Nearest samples, since the mean of two motions is a third; lengths are scaled to the smaller picture.
    A vector is unknown where it is NaN, infinite or absurd, and where the data window does not cover the plate. Raises
    UsageError, naming `source`, for a channel that is not there, that holds integers, or whose display window has
    another size.
    """
    return Vectors(
        *(None if each is None else _field(parts, each, plate, source) for each in (layer.next, layer.previous))
    )


def _field(parts: Sequence[Part], channels: VectorChannels, plate: PlateWindows, source: str) -> Field:
    offsets, known = [], np.ones(plate.size, np.bool_)
    for name, sign, axis in ((channels.x, channels.convention.x, 1), (channels.y, channels.convention.y, 0)):
        found = find_channel(parts, name)
        if found is None:
            raise UsageError(f"expected the motion channel '{name}' in '{source}' too, got none; render it there")
        part, position = found
        samples, covered = _over(part, position, plate, source)
        whole = (plate.data.height, plate.data.width)[axis]
        sound = covered & np.isfinite(samples) & (np.abs(samples) < FARTHEST)
        offsets.append(np.where(sound, sign * samples * np.float32(plate.size[axis] / whole), np.float32(0)))
        known &= sound
    flow = np.stack(offsets, axis=2).astype(np.float32) * known[..., None]
    return Field(flow, known)


def _over(part: Part, position: int, plate: PlateWindows, source: str) -> tuple[Samples, npt.NDArray[np.bool_]]:
    """A channel sampled at the small picture's pixels, (h, w) float32, and where it covers them."""
    if part.pixels.dtype.kind != "f":
        raise UsageError(
            f"expected motion vectors in half or float, got {part.pixels.dtype} in '{source}'; render them in EXR"
        )
    own, theirs = part.display_window, plate.display
    if (own.width, own.height) != (theirs.width, theirs.height):
        raise UsageError(
            f"expected motion vectors of the plate's size {theirs.width}x{theirs.height}, got {own.width}x{own.height} "
            f"in '{source}'; render them in the size of the plate"
        )
    rows = _places(plate.size[0], plate.data.height) + (plate.data.y - theirs.y) - (part.data_window.y - own.y)
    columns = _places(plate.size[1], plate.data.width) + (plate.data.x - theirs.x) - (part.data_window.x - own.x)
    height, width = part.pixels.shape[:2]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    there = np.ix_(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))
    with np.errstate(invalid="ignore"):  # a signalling NaN trips the processor's flag when it is widened
        return part.pixels[..., position][there].astype(np.float32), inside


def _places(small: int, large: int) -> npt.NDArray[np.intp]:
    """The pixel of a large row under the centre of each pixel of a small one."""
    return np.floor((np.arange(small) + 0.5) * large / small).astype(np.intp)
