"""A Gaussian blur of any width in the time of a narrow one."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.frame import Samples

EXACT = 8.0
"""Sigma in pixels up to which the blur is exact; beyond, it is made at a smaller size."""


def blurred(field: Samples, sigma: float) -> Samples:
    """A field (H, W) or (H, W, C), blurred; to about a hundredth of its range where sigma is above `EXACT`."""
    if sigma <= EXACT:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    step = int(2 * sigma / EXACT)
    height, width = field.shape[:2]
    size = max(1, width // step), max(1, height // step)
    small = cv2.GaussianBlur(cv2.resize(field, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
