"""The direction in which strokes run at every place of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.painter.blur import blurred

SCALES = ((3.0, 1.0), (10.0, 0.3), (30.0, 0.1), (80.0, 0.05))
"""Radius in units, and weight: near an edge its own direction, in flats that of ever wider surroundings."""
CALM = 2e-5
"""Weight of a slow flow that the painter brings along, which shows only where the plate has no direction at all."""


def stroke_angles(picture: Samples, unit: float, rng: np.random.Generator) -> Samples:
    """Angle in radians, (H, W), along which a picture (H, W, 3) varies least, defined in flats too."""
    tensor = structure_tensor(picture, 1.2 * unit)
    xx, xy, yy = (sum(weight * blurred(part, radius * unit) for radius, weight in SCALES) for part in tensor)
    # Slopes shrink as a picture grows, and so must what they are weighed against.
    calm = CALM / max(1.0, unit) ** 2
    across_x, across_y = _slow_flow(picture.shape[0], picture.shape[1], unit, rng)
    xx = xx + calm * across_x * across_x
    xy = xy + calm * across_x * across_y
    yy = yy + calm * across_y * across_y
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, np.float32)


def angles_and_coherence(picture: Samples, radius: float) -> tuple[Samples, Samples]:
    """Angle of the brushwork of a painting (H, W, 3), and how much it agrees with itself within a radius, 0 to 1."""
    xx, xy, yy = (blurred(part, radius) for part in structure_tensor(picture, 1.0))
    strength = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-4)
    angles = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.asarray(angles, np.float32), np.asarray(strength, np.float32)


def structure_tensor(picture: Samples, fine: float) -> tuple[Samples, Samples, Samples]:
    """Products of the slopes of a picture (H, W, 3), summed over its channels: xx, xy, yy, each (H, W)."""
    smooth = blurred(picture, fine)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return (dx * dx).sum(2), (dx * dy).sum(2), (dy * dy).sum(2)


def _slow_flow(height: int, width: int, unit: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Unit vectors across a slow flow."""
    cells = rng.standard_normal((max(2, round(height / (8 * unit))), max(2, round(width / (8 * unit)))))
    hills = cv2.resize(blurred(cells.astype(np.float32), 6.0), (width, height), interpolation=cv2.INTER_CUBIC)
    dx, dy = cv2.Sobel(hills, cv2.CV_32F, 1, 0), cv2.Sobel(hills, cv2.CV_32F, 0, 1)
    size = np.sqrt(dx * dx + dy * dy) + np.float32(1e-9)
    return np.asarray(dx / size, np.float32), np.asarray(dy / size, np.float32)
