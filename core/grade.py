"""Grades before and after the network: noise, sharpness, relief, levels, saturation, size; each is off by default.

Tone and noise are changed in the working picture, (H, W, 3) float32, sRGB-encoded Rec.709, not
clamped (`impasto.core.colour.encode` of scene-linear light). A change of size is for a whole frame:
`impasto.core.resize`. The settings and their ranges are in `impasto.core.grade_settings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core import colour
from impasto.core.frame import Samples
from impasto.core.grade_settings import After, Before

DENOISE_RADIUS = 3
SHARPEN_SIGMA = 1.0
SHARPEN_RADIUS = 3
RELIEF_SIGMAS = 0.8, 3.0
"""The band of the painting's luma that counts as thickness of its paint, in pixels: bristles and rims of strokes."""
RELIEF_RADIUS = 9
RIDGE = 0.02
"""Slope of that band, in luma for a pixel, that is lit half as much as the steepest: rims of strong contrast are no
thicker paint than others."""
RELIEF_DEPTH = 0.5
"""How much light the steepest slope gains or loses at relief 1."""
GRADE_REACH = 2 * DENOISE_RADIUS + SHARPEN_RADIUS + RELIEF_RADIUS + 1
"""Pixels around one on which its grade depends."""


def grade_before(picture: Samples, settings: Before) -> Samples:
    """The graded plate for the network: a new working picture, or the argument where all is off.

    Exposure is none of its steps: it is a change of light, in `impasto.core.working_picture.to_working`.

    Nothing is clamped. A pixel with a NaN or infinite channel comes out unchanged and affects no other.
    """
    if settings.is_off:
        return picture

    def steps(clean: Samples) -> Samples:
        return saturate(
            levels(denoise(clean, settings.denoise), settings.black, settings.white, settings.gamma),
            settings.saturation,
        )

    return _around_invalid(picture, steps)


def grade_after(picture: Samples, settings: After) -> Samples:
    """The graded painting: a new working picture, with the guarantees of `grade_before`."""
    if settings.is_off:
        return picture

    def steps(clean: Samples) -> Samples:
        crisp = sharpen(denoise(clean, settings.denoise), settings.sharpen)
        thick = relief(crisp, settings.relief, settings.light)
        return saturate(levels(thick, settings.black, settings.white, settings.gamma), settings.saturation)

    return _around_invalid(picture, steps)


def denoise(picture: Samples, amount: float) -> Samples:
    """Smooth what varies little and keep what varies much, by `amount` from 0 to 1; 0 returns the argument.

    The guided filter with the picture as its own guide (He, Sun and Tang, Guided Image Filtering, PAMI
    2013, equations 5, 6 and 8), per channel, window radius `DENOISE_RADIUS`, epsilon (amount / 10)². A
    result depends on twice that radius. The mean of a constant area is kept; the picture must be finite.
    """
    if amount == 0:
        return picture
    mean = _box(picture)
    variance = _box(picture * picture)
    variance -= mean * mean
    np.maximum(variance, np.float32(0), out=variance)
    kept = np.divide(variance, variance + np.float32((amount / 10) ** 2), dtype=np.float32)
    result = _box(kept)
    result *= picture
    result += _box(mean - kept * mean)
    return result


def sharpen(picture: Samples, amount: float) -> Samples:
    """Unsharp mask: the picture plus `amount` times its detail; 0 returns the argument.

    Detail is the picture minus its Gaussian of `SHARPEN_SIGMA` pixels, cut off at `SHARPEN_RADIUS`. Edges
    overshoot, also below 0 and above 1; nothing is clamped. The picture must be finite.
    """
    if amount == 0:
        return picture
    size = 2 * SHARPEN_RADIUS + 1
    blurred = cv2.GaussianBlur(picture, (size, size), SHARPEN_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, blurred, -amount, 0), np.float32)


def relief(picture: Samples, amount: float, light: float) -> Samples:
    """Light the painting as if its paint were thick, by `amount` from 0 to 1; 0 returns the argument.

    Thickness is a band of the luma (`RELIEF_SIGMAS`). Slopes that face the light, at `light` degrees anticlockwise from
    the right, come nearer to white, the others nearer to black; hues stay. What lies above 1 is not lit. The
    picture must be finite.
    """
    if amount == 0:
        return picture
    luma = np.asarray(picture @ colour.LUMA, np.float32)
    size = 2 * RELIEF_RADIUS + 1
    fine, coarse = (
        cv2.GaussianBlur(luma, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101) for sigma in RELIEF_SIGMAS
    )
    height = fine - coarse
    # Down the slope towards the light; rows count downwards.
    right, down = (cv2.Scharr(height, cv2.CV_32F, *axes, scale=1 / 32) for axes in ((1, 0), (0, 1)))
    slope = right * np.float32(-math.cos(math.radians(light))) + down * np.float32(math.sin(math.radians(light)))
    lit = (np.float32(RELIEF_DEPTH * amount) * slope / (np.abs(slope) + np.float32(RIDGE)))[..., None]
    room = np.where(lit > 0, np.maximum(np.float32(1) - picture, np.float32(0)), picture)
    return np.asarray(picture + lit * room, np.float32)


def levels(picture: Samples, black: float, white: float, gamma: float) -> Samples:
    """((x - black) / (white - black)) ** (1 / gamma), per channel; the defaults 0, 1, 1 return the argument.

    Unclamped: above white the curve goes on; below black it is mirrored at 0, so that values keep their
    order and none is lost.
    """
    if (black, white, gamma) == (0, 1, 1):
        return picture
    scaled = picture - np.float32(black)
    scaled *= np.float32(1 / (white - black))
    if gamma == 1:
        return scaled
    size: Samples = np.power(np.abs(scaled), np.float32(1 / gamma), dtype=np.float32)
    np.copysign(size, scaled, out=size)
    return size


def saturate(picture: Samples, amount: float) -> Samples:
    """Chroma times `amount`, luma (BT.709) kept; 1 returns the argument. Unclamped."""
    if amount == 1:
        return picture
    matrix = amount * np.eye(3) + (1 - amount) * np.tile(colour.LUMA.astype(np.float64), (3, 1))
    return np.asarray(cv2.transform(picture, matrix.astype(np.float32)), np.float32)


def _box(picture: Samples) -> npt.NDArray[np.float32]:
    size = 2 * DENOISE_RADIUS + 1
    return np.asarray(cv2.boxFilter(picture, cv2.CV_32F, (size, size), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _around_invalid(picture: Samples, steps: Callable[[Samples], Samples]) -> Samples:
    """Run `steps` on a picture with invalid pixels filled, and put those pixels back unchanged."""
    clean, invalid = colour.fill_invalid(picture)
    result = steps(clean)
    if invalid is not None:
        result[invalid] = picture[invalid]
    return result
