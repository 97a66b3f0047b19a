"""Strokes: where they lie, how they bend, and how one is laid onto a picture."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import LUMA
from impasto.core.frame import Samples

MOST_ROWS = 30_000
"""Rows of places that OpenCV takes at once."""

Indices = npt.NDArray[np.int64]
Choice = npt.NDArray[np.bool_] | Indices


@dataclass(frozen=True, slots=True)
class Strokes:
    """Strokes of one size in the order in which they are laid; arrays of one length.

    `x`, `y` are the centre in pixels, `angle` in radians, `bend` the change of the angle along a stroke in radians a
    pixel, `piece` the index of the piece of the painting that the stroke is made of. `drift_x`, `drift_y` say how far
    the surface beneath has moved on while the stroke rests.
    """

    x: Samples
    y: Samples
    angle: Samples
    bend: Samples
    piece: Indices
    drift_x: Samples
    drift_y: Samples

    def __len__(self) -> int:
        return len(self.x)

    def chosen(self, which: Choice) -> Strokes:
        """Some of them, by mask or index."""
        return Strokes(*(getattr(self, each.name)[which] for each in fields(self)))

    def then(self, others: Strokes) -> Strokes:
        """These, and others laid after them."""
        pairs = ((getattr(self, each.name), getattr(others, each.name)) for each in fields(self))
        return Strokes(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True, slots=True)
class Footprint:
    """The pixels around a stroke's centre: the window in the picture, and along and across the bent stroke, (h, w)."""

    rows: slice
    columns: slice
    along: Samples
    across: Samples


def footprint(strokes: Strokes, index: int, length: float, width: float, size: tuple[int, int]) -> Footprint | None:
    """The pixels that a stroke can reach in a picture of (height, width); None where it lies outside."""
    x, y, angle = strokes.x[index], strokes.y[index], strokes.angle[index]
    reach = 0.53 * float(np.hypot(length, width)) + 2
    left, right = max(0, int(x - reach)), min(size[1], int(x + reach) + 1)
    top, bottom = max(0, int(y - reach)), min(size[0], int(y + reach) + 1)
    if left >= right or top >= bottom:
        return None
    dx = np.arange(left, right, dtype=np.float32) - x
    dy = (np.arange(top, bottom, dtype=np.float32) - y)[:, None]
    cosine, sine = np.cos(angle), np.sin(angle)
    along = dx * cosine + dy * sine
    across = dy * cosine - dx * sine - np.float32(0.5) * strokes.bend[index] * along * along
    return Footprint(slice(top, bottom), slice(left, right), along, across)


def lay(canvas: Samples, at: Footprint, paint: Samples, cover: Samples) -> None:
    """Lay paint (h, w, 3) onto a canvas where it covers, (h, w) in [0, 1]; in place."""
    under = canvas[at.rows, at.columns]
    under += cover[..., None] * (paint - under)


def brush_mark(at: Footprint, length: float, width: float, ridges: Samples) -> Samples:
    """Cover of a stroke, (h, w) in [0, 1]: round ends, and a rim as ragged as the paint in it.

    `ridges` is the paint's difference from its mean, (h, w, 3): where paint is light, it reaches further.
    """
    round_off = 1 - np.square(at.across * (2 / width)) - np.square(np.square(at.along * (2 / length)))
    inside = 0.25 * width * round_off + 0.5 * width * (ridges @ LUMA)
    soft = min(0.12 * width + 0.7, 0.2 * width)  # a narrow stroke covers too
    return np.asarray(np.clip(inside / soft, 0, 1), np.float32)


def sampled(picture: Samples, x: Samples, y: Samples) -> Samples:
    """A picture at places (rows, columns) between its pixels; beyond its rim it is mirrored."""
    parts = [
        cv2.remap(
            picture,
            np.asarray(x[start : start + MOST_ROWS], np.float32),
            np.asarray(y[start : start + MOST_ROWS], np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for start in range(0, len(x), MOST_ROWS)
    ]
    return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts), np.float32)


def along_grid(
    picture: Samples, x: Samples, y: Samples, angle: Samples, reach: tuple[float, float], points: tuple[int, int]
) -> Samples:
    """Samples on a turned grid around each of N places: (N, along x across, 3). `reach` is length and width."""
    along, across = (
        size * np.linspace(-0.5, 0.5, count + 2, dtype=np.float32)[1:-1]
        for size, count in zip(reach, points, strict=True)
    )
    u, v = (each.ravel() for each in np.meshgrid(along, across, indexing="ij"))
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return sampled(picture, x[:, None] + cosine * u - sine * v, y[:, None] + sine * u + cosine * v)
