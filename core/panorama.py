"""Spheres in equirectangular (lat-long) pictures, painted through overlapping perspective views.

Strokes that a network lays onto the plane of a lat-long picture end at its left and right edge and are smeared around
the poles. Here the network sees 26 perspective views of one angular resolution, and a pixel's paint is their blend by
weights that depend on its direction alone: the picture has no edge, and a stroke the same angle everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples

REACH = np.radians(30.0)
"""Half the angle of a view that is blended, horizontally and vertically."""
BLEND = np.radians(15.0)
"""Angle over which a view's weight falls to nothing, so that neighbours share their paint in equal parts at 22.5°."""
RINGS = ((-90, 1), (-45, 8), (0, 8), (45, 8), (90, 1))
"""Latitude of the centres of a ring of views in degrees, and how many there are."""
MARGIN = 8
"""Pixels of a view outside what is blended, where the network meets the border."""
_BEYOND = 2
"""Pixels around a place that bicubic sampling sees."""
_BLOCKS = 16
"""Blocks along a side of the picture, which are worked on by themselves."""
_NEAR = np.cos(np.arctan(np.sqrt(2) * np.tan(REACH)) + np.radians(25))
"""Cosine of the angle up to which the middle of a block may lie from that of a view: corner to corner, and some."""

ViewPainter = Callable[[Samples, Samples | None], Samples]
"""Paints a picture (H, W, 3) with its guides (H, W, n), or None."""


@dataclass(frozen=True, slots=True)
class View:
    """A square perspective view of `side` pixels; `focal` is pixels of a tangent of 1.

    The rows of `axes` are its right, its down and its forward in the sphere's own: x to the right of the picture's
    middle, y down, z into the middle.
    """

    axes: Samples
    focal: float
    side: int

    def places(self, directions: Samples) -> tuple[Samples, Samples]:
        """Pixels x, y (..., 2) where directions (..., 3) of unit length meet the view, and their weights (...).

        The weight is 0 outside the reach of the view and behind it.
        """
        x, y, z = np.moveaxis(directions @ self.axes.T, -1, 0)
        front = z > np.float32(0.1)
        depth = np.where(front, z, 1)
        x, y = x / depth, y / depth
        weight = np.where(front, _ramp(x) * _ramp(y), 0)
        centre = np.float32((self.side - 1) / 2)
        return np.stack((x, y), axis=-1) * np.float32(self.focal) + centre, weight

    def directions(self) -> Samples:
        """The direction of every pixel, (side, side, 3)."""
        steps = (np.arange(self.side, dtype=np.float32) - np.float32((self.side - 1) / 2)) / np.float32(self.focal)
        x, y = np.meshgrid(steps, steps)
        return np.asarray(np.stack((x, y, np.ones_like(x)), axis=-1) @ self.axes, np.float32)


def views_around(height: int, width: int, stride: int = 1) -> tuple[View, ...]:
    """The views of a lat-long picture of this size: as fine as its equator, sides a multiple of `stride`."""
    focal = max(width / (2 * np.pi), height / np.pi)
    side = int(np.ceil(2 * (np.tan(REACH) * focal + MARGIN)))
    side += -side % stride
    return tuple(
        View(axes_of(np.radians(latitude), np.radians(360 / count * index)), float(focal), side)
        for latitude, count in RINGS
        for index in range(count)
    )


def painted_sphere(picture: Samples, guides: Samples | None, paint: ViewPainter, stride: int = 1) -> Samples:
    """A lat-long picture (H, W, 3) float32 of the whole sphere, painted view by view.

    The change that the paint makes is carried onto the picture: a painter that changes nothing gives the picture back
    exactly, and detail finer than a view's resolution, which a lat-long picture has around its poles, stays.
    """
    height, width = picture.shape[:2]
    seen = picture if guides is None else np.concatenate((picture, guides), axis=2)
    seen = _extended(_of_even_angle(seen))
    change = np.zeros(picture.shape, np.float32)
    total = np.zeros((height, width), np.float32)
    for view in views_around(height, width, stride):
        shown = _shown(seen, view)
        plate = np.ascontiguousarray(shown[..., :3])
        difference = paint(plate, None if guides is None else np.ascontiguousarray(shown[..., 3:])) - plate
        for rows, columns in _touched(view, height, width):
            places, weight = view.places(_directions(height, width, rows, columns))
            fetched = cv2.remap(difference, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
            change[rows, columns] += fetched * weight[..., None]
            total[rows, columns] += weight
    change /= total[..., None]
    change += picture
    return change


def wrapped_around(step: Callable[[Samples], Samples], picture: Samples, reach: int) -> Samples:
    """A step that looks `reach` pixels far, on a lat-long picture (H, W, C): its left and right edge are neighbours."""
    reach = min(reach, picture.shape[1])
    padded = np.pad(picture, ((0, 0), (reach, reach), (0, 0)), mode="wrap")
    return np.ascontiguousarray(step(padded)[:, reach : reach + picture.shape[1]])


def _ramp(tangent: Samples) -> Samples:
    """The weight along one axis of a view: 1 in its middle, smoothly down to 0 at its reach."""
    share = np.clip((np.float32(REACH) - np.abs(np.arctan(tangent))) / np.float32(BLEND), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def axes_of(latitude: float, longitude: float) -> Samples:
    """Right, down and forward of a view that looks there, upright where the sphere is."""
    sine, cosine = np.sin(longitude), np.cos(longitude)
    up, level = np.sin(latitude), np.cos(latitude)
    right = (cosine, 0, -sine)
    down = (up * sine, level, up * cosine)
    forward = (level * sine, -up, level * cosine)
    return np.array((right, down, forward), np.float32)


def _directions(height: int, width: int, rows: slice, columns: slice) -> Samples:
    """Directions of unit length of pixels of a lat-long picture, (h, w, 3)."""
    latitudes = np.pi * (0.5 - (np.arange(rows.start, rows.stop) + 0.5) / height)
    longitudes = 2 * np.pi * ((np.arange(columns.start, columns.stop) + 0.5) / width - 0.5)
    level = np.cos(latitudes)[:, None]
    down = np.broadcast_to(-np.sin(latitudes)[:, None], (len(latitudes), len(longitudes)))
    return np.stack((level * np.sin(longitudes), down, level * np.cos(longitudes)), axis=-1).astype(np.float32)


def _touched(view: View, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of a lat-long picture that hold every pixel of which the view has a share."""
    down, across = max(1, height // _BLOCKS), max(1, width // _BLOCKS)
    for top in range(0, height, down):
        rows = slice(top, min(top + down, height))
        for left in range(0, width, across):
            columns = slice(left, min(left + across, width))
            row, column = (top + rows.stop - 1) // 2, (left + columns.stop - 1) // 2
            middle = _directions(height, width, slice(row, row + 1), slice(column, column + 1))[0, 0]
            if middle @ view.axes[2] > _NEAR:
                yield rows, columns


def _of_even_angle(picture: Samples) -> Samples:
    """A lat-long picture, its rows near the poles averaged over the angle that a pixel of the equator has."""
    height, width = picture.shape[:2]
    even = np.array(picture, np.float32)
    for row in range(height):
        level = np.cos(np.pi * (0.5 - (row + 0.5) / height))
        half = min(int(0.5 / level), width // 2)
        if half:
            line = cv2.blur(
                np.pad(picture[row : row + 1], ((0, 0), (half, half), (0, 0)), mode="wrap"), (2 * half + 1, 1)
            )
            even[row] = line[0, half : half + width].reshape(width, -1)
    return even


def looked_at(picture: Samples, view: View) -> Samples:
    """What a view shows of a lat-long picture (H, W, C)."""
    return _shown(_extended(picture), view)


def _extended(picture: Samples) -> Samples:
    """A lat-long picture with `_BEYOND` more pixels a side: it joins left to right and goes on behind its poles."""
    whole = np.pad(picture, ((_BEYOND, _BEYOND), (0, 0), (0, 0)), mode="symmetric")
    width = picture.shape[1]
    for beyond in (slice(None, _BEYOND), slice(-_BEYOND, None)):
        whole[beyond] = np.roll(whole[beyond], width // 2, axis=1)
    return np.pad(whole, ((0, 0), (_BEYOND, _BEYOND), (0, 0)), mode="wrap")


def _shown(extended: Samples, view: View) -> Samples:
    """What a view shows of an extended picture."""
    height, width = extended.shape[0] - 2 * _BEYOND, extended.shape[1] - 2 * _BEYOND
    x, y, z = np.moveaxis(view.directions(), -1, 0)
    longitude, latitude = np.arctan2(x, z), np.arctan2(-y, np.hypot(x, z))
    column = (longitude / np.float32(2 * np.pi) + np.float32(0.5)) * width + np.float32(_BEYOND - 0.5)
    row = (np.float32(0.5) - latitude / np.float32(np.pi)) * height + np.float32(_BEYOND - 0.5)
    first, last = max(0, int(row.min()) - _BEYOND), int(row.max()) + 2 * _BEYOND
    return _remapped(extended[first:last], column, row - np.float32(first))


def _remapped(picture: Samples, x: Samples, y: Samples) -> Samples:
    """Samples at places, bicubic, of any number of channels."""
    planes = [
        cv2.remap(
            np.ascontiguousarray(picture[..., first : first + 4]),
            x,
            y,
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ).reshape(*x.shape, -1)
        for first in range(0, picture.shape[2], 4)
    ]
    return np.asarray(planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2), np.float32)
