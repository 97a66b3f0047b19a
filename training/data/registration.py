"""Registration: whether a painted key lies on its frame, and how far it is shifted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.colour import LUMA
from impasto.core.frame import Pixels, Samples

LONGEST_SIDE = 1024
"""Pictures larger than this are compared at a smaller size; that is exact enough, and quick."""
SMALLEST_SHIFT = 1.5
"""Pixels (of the size that is compared) below which a shift is the painter's hand."""
CLEARLY_BETTER = 1.025
"""Outlines must agree this many times better once moved back, before a shift is believed."""


@dataclass(frozen=True, slots=True)
class Registration:
    """How far a paint is shifted on its plate, in pixels, and how well their outlines agree then, -1 to 1."""

    right: float
    down: float
    agreement: float

    @property
    def is_shifted(self) -> bool:
        """Whether the paint must be moved."""
        return bool(self.right or self.down)

    def in_words(self) -> str:
        """'6.0 pixels to the right of it and 3.0 above it'."""
        parts = [
            f"{abs(self.right):.1f} pixels to the {'right' if self.right > 0 else 'left'} of it" if self.right else "",
            f"{abs(self.down):.1f} pixels {'below' if self.down > 0 else 'above'} it" if self.down else "",
        ]
        return " and ".join(filter(None, parts))


def register(plate: Samples, paint: Samples) -> Registration:
    """How far a paint is shifted against its plate, by phase correlation of their outlines; (H, W, 3) of one size.

    A shift is reported only where the outlines agree clearly better without it, since strokes have
    outlines of their own. (Kuglin & Hines 1975; the sub-pixel peak is OpenCV's.)
    """
    scale = min(1.0, LONGEST_SIDE / max(plate.shape[:2]))
    ours, theirs = outlines(plate, scale), outlines(paint, scale)
    window = cv2.createHanningWindow((ours.shape[1], ours.shape[0]), cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(ours, theirs, window)
    as_it_lies = agreement(ours, theirs)
    if max(abs(right), abs(down)) < SMALLEST_SHIFT:
        return Registration(0.0, 0.0, as_it_lies)
    moved = agreement(ours, moved_by(theirs, -round(right), -round(down)))
    if moved < max(CLEARLY_BETTER * as_it_lies, 0.1):
        return Registration(0.0, 0.0, as_it_lies)
    return Registration(round(right / scale, 1), round(down / scale, 1), moved)


def outlines(picture: Samples, scale: float = 1.0) -> Samples:
    """Where a picture changes: the square root of its smoothed luma's gradient, less its mean; (H, W) float32."""
    luma = np.ascontiguousarray(picture @ LUMA, np.float32)
    if scale < 1:
        luma = np.asarray(cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)
    smooth = cv2.GaussianBlur(luma, (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    edges = np.sqrt(slope)
    return np.asarray(edges - edges.mean(), np.float32)


def agreement(ours: Samples, theirs: Samples) -> float:
    """Correlation of two outline pictures, -1 to 1; 0 where one of them is flat."""
    ours, theirs = (np.asarray(cv2.GaussianBlur(each, (0, 0), 2.0), np.float32) for each in (ours, theirs))
    norm = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    return float((ours * theirs).sum()) / norm if norm > 0 else 0.0


def moved_by(picture: Pixels, right: int, down: int) -> Pixels:
    """A picture (H, W) or (H, W, C) moved by whole pixels, zeros where it came from."""
    result = np.zeros_like(picture)
    height, width = picture.shape[:2]
    if abs(right) >= width or abs(down) >= height:
        return result
    result[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = picture[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return result
