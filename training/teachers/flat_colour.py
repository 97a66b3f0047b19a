"""Flat areas of colour, as in cartoons, prints and washes of ink.

Every function is local and repeatable: a result depends on its neighbourhood alone, and a small change of the plate
makes a small change of the result.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from impasto.core.frame import Samples

SECTORS = 8
SHARPNESS = 8.0
"""How much more the calmest sector weighs than the others: 8 keeps corners, 2 would blur."""
SPREAD = 3 / 255
"""A sector with a lower standard deviation counts as flat."""
STEEP = 40.0
"""How much sharper a step between tones becomes with the slope of the plate; see `stepped`."""


def flattened(picture: Samples, radius: float, *, passes: int = 1) -> Samples:
    """The picture (H, W, C), float32, in flat areas with crisp edges, about `radius` pixels wide.

    Each pixel becomes a mean of the eight sectors around it, in which the calmest weighs most (generalised Kuwahara
    filter, Papari, Petkov & Campisi 2007, doi:10.1109/TIP.2007.903912).
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
    """Luma (H, W) in [0, 1], reduced to `steps` tones.

    Where the plate is steep, one tone ends sharply at the next: the half-width of the step is `soft` of a tone. On a
    slow ramp one tone passes gradually into the next, so that no contour crawls over a sky when its brightness changes
    a little (Winnemöller, Olsen & Gooch 2006, "Real-time video abstraction", section 3.3).
    """
    calm = cv2.GaussianBlur(luma, (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)) / 8
    half_width = np.clip(0.5 - STEEP * slope, soft, 0.5)
    place = luma * steps - 0.5
    tone = np.floor(place)
    part = np.clip((place - tone - 0.5) / (2 * half_width) + 0.5, 0, 1)
    return np.asarray((tone + smooth(part) + 0.5) / steps, np.float32)


def retoned(picture: Samples, luma: Samples, wanted: Samples, *, floor: float = 0.04) -> Samples:
    """The picture (H, W, 3) with the brightness `wanted` (H, W) instead of its own, `luma`; hues stay.

    `floor` limits the factor where the picture is nearly black.
    """
    factor = np.clip((wanted + floor) / (luma + floor), 0.4, 2.2)
    return np.asarray(picture * factor[..., None], np.float32)


def smooth(part: Samples) -> Samples:
    """Smoothstep of values in [0, 1]: from 0 to 1 with slope 0 at both ends."""
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _sector(radius: float, index: int) -> Samples:
    reach = math.ceil(2 * radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    away = np.angle(np.exp(1j * (np.arctan2(y, x) - index * 2 * np.pi / SECTORS)))
    weight = np.exp(-(x * x + y * y) / (2 * radius * radius) - (away / (np.pi / SECTORS)) ** 2 / 2)
    weight[reach, reach] = weight.max()
    return np.asarray(weight / weight.sum(), np.float32)
