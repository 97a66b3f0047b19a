"""Small plates that are compared, and how far they differ along a motion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import LUMA
from impasto.core.colour.hdr_residual import brightest
from impasto.core.frame import Samples

LIGHT = 14.0
"""Sigma of the windows in which light may differ between two plates."""
DARKEST, LIGHTEST = 0.7, 1.4
"""How far light may differ, as factors."""
ALIKE = 1.5
"""Sigma of the blur of a difference before it is judged."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A small plate ready to be followed: (h, w, 3) and its luma in 8 bits."""

    picture: Samples
    luma: npt.NDArray[np.uint8]
    contrast: Samples
    """Slope of the luma around each pixel, (h, w)."""


def plate_of(picture: Samples) -> Plate:
    """A small picture (h, w, 3), working space, ready to be followed."""
    luma = np.asarray(picture @ LUMA, np.float32)
    across, down = (cv2.Sobel(luma, cv2.CV_32F, way, 1 - way, scale=1 / 8) for way in (1, 0))
    slope = np.asarray(cv2.magnitude(across, down), np.float32)
    return Plate(picture, np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8), blurred(slope, 2.0))


def difference(picture: Plate, key: Plate, flow: Samples) -> Samples:
    """How far a picture differs from a key's plate along a motion, in any channel, apart from its light: (h, w)."""
    there = fetched(key.picture, flow, cv2.INTER_LINEAR)
    ours, theirs = (blurred(each @ LUMA, LIGHT) for each in (picture.picture, there))
    light = np.clip((ours + 0.02) / (theirs + 0.02), DARKEST, LIGHTEST)
    return np.asarray(brightest(np.abs(picture.picture - light[..., None] * there)), np.float32)


def fetched(picture: Samples, flow: Samples, interpolation: int = cv2.INTER_CUBIC) -> Samples:
    """A picture fetched along a motion; edges are repeated. Cubic, so that strokes stay crisp: it may overshoot."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE), np.float32)


def inside(flow: Samples) -> npt.NDArray[np.bool_]:
    """Where a motion ends within the key."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5))


def blurred(plane: Samples, sigma: float) -> Samples:
    """Blurred by a Gaussian; a wide one at a smaller size, where it is the same to a thousandth."""
    plane = np.asarray(plane, np.float32)
    fewer = int(sigma / 3)
    if fewer < 2:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    height, width = plane.shape[:2]
    size = max(1, width // fewer), max(1, height // fewer)
    small = cv2.GaussianBlur(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / fewer)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
