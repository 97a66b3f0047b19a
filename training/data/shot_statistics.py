"""Statistics of a shot: the noise of its plates, and whether the camera moves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.matching import compared_size, scaled
from impasto.core.optical_flow import optical_flow

MOVES = 0.5
"""Pixels, of a picture 640 across, by which half of it must have moved for the camera to have."""
QUIET = 0.3186
"""Median would be 0.6745: a quarter of |x| of a standard normal x is below this, and texture disturbs it less."""
MOST_NOISE = 8.0
"""In 1/255. Beyond, it is texture that was measured."""


def noise_of(picture: Samples) -> float:
    """Standard deviation of a picture's noise (H, W, 3), in 1/255; an upper bound where all of it is texture.

    From second differences across and down, in which smooth ground and straight edges cancel (Immerkær 1996,
    doi:10.1006/cviu.1996.0060), by a quantile of them.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    answers = np.abs(cv2.filter2D(picture, cv2.CV_32F, mask))
    return min(MOST_NOISE, float(255 * np.quantile(answers, 0.25)) / (QUIET * float(np.linalg.norm(mask))))


def camera_moves(key: Samples, others: Sequence[Samples]) -> bool:
    """Whether most of the picture lies elsewhere in most of the other frames of a shot; all (H, W, 3) of one size."""
    size = compared_size(*key.shape[:2])
    small = scaled(key, size)
    moves = [np.median(np.linalg.norm(optical_flow(small, scaled(each, size)), axis=2)) for each in others]
    return bool(moves) and float(np.median(moves)) > MOVES
