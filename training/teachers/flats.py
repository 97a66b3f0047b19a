"""Flat areas of colour: what a cartoonist, a printer or a wash of ink makes of a plate.

Local and repeatable: a result depends on its neighbourhood alone, and a small change of the plate changes it a little.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from impasto.core.frame import Samples

SECTORS = 8
SHARPNESS = 8.0
"""How strongly the calmest sector wins: 8 keeps corners, 2 would be a blur."""
SPREAD = 3 / 255
"""Standard deviation below which a sector counts as flat."""
STEEP = 40.0
"""How fast a tone step sharpens with the slope of the plate; see `stepped`."""


def flattened(picture: Samples, radius: float, *, passes: int = 1) -> Samples:
    """The picture (H, W, C), float32, in flat areas with crisp edges, as wide as `radius` pixels.

    Each pixel becomes the mean of the calmest of eight sectors around it, softly chosen (generalised
    Kuwahara filter, Papari, Petkov & Campisi 2007, doi:10.1109/TIP.2007.903912).
    """
    sectors = [_sector(radius, index) for index in range(SECTORS)]
    for _ in range(passes):
        total = np.zeros_like(picture)
        weights = np.zeros(picture.shape[:2], np.float32)
        for sector in sectors:
            mean = cv2.filter2D(picture, -1, sector, borderType=cv2.BORDER_REFLECT_101)
            square = cv2.filter2D(picture * picture, -1, sector, borderType=cv2.BORDER_REFLECT_101)
            spread = np.sqrt(np.maximum(square - mean * mean, 0).sum(2))
            weight = 1 / (1 + (spread / SPREAD) ** SHARPNESS) + np.float32(1e-12)
            total += mean * weight[..., None]
            weights += weight
        picture = np.asarray(total / weights[..., None], np.float32)
    return picture


def stepped(luma: Samples, steps: int, *, soft: float = 0.06) -> Samples:
    """Luma (H, W) in [0, 1] laid in `steps` tones.

    Where the plate is steep, one tone ends sharply at the next (half-width `soft` of a tone); on a slow
    ramp they pass into each other, so that no contour crawls over a sky when its brightness changes by a
    hair (Winnemöller, Olsen & Gooch 2006, "Real-time video abstraction", section 3.3).
    """
    calm = cv2.GaussianBlur(luma, (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)) / 8
    half_width = np.clip(0.5 - STEEP * slope, soft, 0.5)
    place = luma * steps - 0.5
    tone = np.floor(place)
    part = np.clip((place - tone - 0.5) / (2 * half_width) + 0.5, 0, 1)
    return np.asarray((tone + smooth(part) + 0.5) / steps, np.float32)


def retoned(picture: Samples, luma: Samples, wanted: Samples, *, floor: float = 0.04) -> Samples:
    """The picture (H, W, 3) of brightness `luma` (H, W) lit to the brightness `wanted`, its hue kept.

    `floor` keeps what is nearly black from being multiplied out of proportion.
    """
    factor = np.clip((wanted + floor) / (luma + floor), 0.4, 2.2)
    return np.asarray(picture * factor[..., None], np.float32)


def smooth(part: Samples) -> Samples:
    """0 to 1 with level ends, of values in [0, 1]."""
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _sector(radius: float, index: int) -> Samples:
    reach = math.ceil(2 * radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    away = np.angle(np.exp(1j * (np.arctan2(y, x) - index * 2 * np.pi / SECTORS)))
    weight = np.exp(-(x * x + y * y) / (2 * radius * radius) - (away / (np.pi / SECTORS)) ** 2 / 2)
    weight[reach, reach] = weight.max()
    return np.asarray(weight / weight.sum(), np.float32)
