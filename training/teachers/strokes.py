"""Strokes along the orientation field of the plate, without a network.

Colour is smeared along the direction in which the plate varies least. A height field of bristles is made from the
plate's texture and isophotes and smeared in the same way; it shades the colour like thick paint under a raking light.
All of this is local and repeatable and depends on the plate alone. So a small network can learn it, and strokes move
with what they paint.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.teachers.palette import LUMA, Palette

FAINTEST = 0.012
"""Texture of a plate, in luma, that is too faint to make strokes."""
BANDS = 8.0
"""Lines of equal brightness between black and white, along which strokes run where there is no texture."""


@dataclass(frozen=True, slots=True)
class StrokeSettings:
    """The size, shape and colour of strokes; lengths in pixels of the plate."""

    width: float = 4.0
    """Half-width of a stroke."""
    length: float = 18.0
    """How far colour is dragged to either side."""
    turn: float = 6.0
    """Radius over which the direction of strokes is averaged: larger is calmer."""
    body: float = 0.11
    """How much lighter and darker single strokes are than the colour beneath."""
    relief: float = 0.10
    """Strength of the raking light on the paint's edges."""
    isophotes: float = 0.5
    """How much strokes follow lines of equal brightness where the plate has no texture."""
    drift: float = 0.05
    """How far strokes wander between warm and cool."""


def paint(plate: Samples, palette: Palette, settings: StrokeSettings) -> Samples:
    """The plate (H, W, 3), working space, float32, painted in strokes; clipped to [0, 1]."""
    along_x, along_y = stroke_direction(plate @ LUMA, settings.turn)
    flat = np.asarray(cv2.bilateralFilter(plate, 7, 0.18, 3.0), np.float32)
    colour = palette.apply(smear(flat, along_x, along_y, 0.8 * settings.length))
    height = paint_height(plate, along_x, along_y, settings)
    light = raking_light(height, settings.width)
    warm = np.array([1.0, 0.35, -0.9], np.float32)
    painted = (
        colour + height[..., None] * (settings.body + settings.drift * warm) + (settings.relief * light)[..., None]
    )
    return np.asarray(np.clip(painted, 0, 1), np.float32)


def paint_height(plate: Samples, along_x: Samples, along_y: Samples, settings: StrokeSettings) -> Samples:
    """Height of the paint in [-1, 1], (H, W): texture and isophotes of the plate, drawn out into bristles."""
    luma = plate @ LUMA
    texture = _blur(luma, settings.width / 3) - _blur(luma, settings.width)
    # The floor keeps grain and compression out of the strokes, which would boil.
    spread = np.sqrt(_blur(texture * texture, 3 * settings.width)) + FAINTEST
    seeds = np.tanh(1.2 * texture / spread) * np.minimum(1, spread / (2 * FAINTEST))
    calm = _blur(luma, 0.7 * settings.width)
    bands = np.sin(2 * np.pi * BANDS * calm)
    bands *= np.clip(1 - spread / 0.05, 0, 1)
    drawn = smear((seeds + settings.isophotes * bands).astype(np.float32), along_x, along_y, settings.length)
    return np.asarray(np.tanh(1.8 * drawn), np.float32)


def raking_light(height: Samples, width: float) -> Samples:
    """Light from the upper left on the paint's slopes, about [-1, 1], (H, W)."""
    smooth = _blur(height, width / 5)
    slope = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) + cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(np.tanh(slope * width * 0.22), np.float32)


def stroke_direction(luma: Samples, radius: float) -> tuple[Samples, Samples]:
    """Unit vectors (x, y) along which (H, W) luma varies least, averaged over `radius` (structure tensor)."""
    fine = _blur(luma, 1.2)
    dx, dy = cv2.Sobel(fine, cv2.CV_32F, 1, 0), cv2.Sobel(fine, cv2.CV_32F, 0, 1)
    xx, xy, yy = dx * dx, dx * dy, dy * dy
    # Two scales: near an edge the direction of the edge, in flat areas that of the wider surroundings.
    near = [_blur(t, radius) for t in (xx, xy, yy)]
    wide = [_blur(t, 4 * radius) for t in (xx, xy, yy)]
    xx, xy, yy = (a + 0.15 * b for a, b in zip(near, wide, strict=True))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.float32(np.pi / 2)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def smear(field: Samples, along_x: Samples, along_y: Samples, length: float) -> Samples:
    """Average a field along the lines of a direction field (line integral convolution, Cabral & Leedom 1993).

    `field` is (H, W) or (H, W, C); weights fall linearly to zero at `length` pixels to either side.
    """
    rows, columns = field.shape[:2]
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    total, weights = field.copy(), 1.0
    for side in (1.0, -1.0):
        at_x, at_y = x.copy(), y.copy()
        step_x, step_y = along_x * side, along_y * side
        for step in range(1, int(length)):
            at_x += step_x
            at_y += step_y
            next_x = _sample(along_x, at_x, at_y)
            next_y = _sample(along_y, at_x, at_y)
            # Directions have no sign: keep the one nearer to the last step.
            onward = np.where(next_x * step_x + next_y * step_y < 0, np.float32(-1), np.float32(1))
            step_x, step_y = next_x * onward, next_y * onward
            weight = 1 - step / length
            total += weight * _sample(field, at_x, at_y)
            weights += weight
    return np.asarray(total / weights, np.float32)


def _sample(field: Samples, x: Samples, y: Samples) -> Samples:
    return np.asarray(cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _blur(field: Samples, sigma: float) -> Samples:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
