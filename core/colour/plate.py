"""Colour, detail and unchanged samples of the plate, put back into the painted picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour.hdr_residual import brightest
from impasto.core.colour.samples import in_each_channel
from impasto.core.frame import Pixels, Samples

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luma of R'G'B' (ITU-R BT.709-6, item 3.2)."""

DETAIL_SIGMA = 2.0
DETAIL_RADIUS = 6
"""Fine detail is what a Gaussian of this sigma removes, in pixels, cut off at three sigma."""

ROUNDING = 2.0**-20
"""Largest change of a value by the arithmetic around an identity network, relative to the pixel's largest channel."""


def keep_colour(styled: Samples, plate: Samples, amount: float) -> Samples:
    """Luma from the style, chroma from the plate, by `amount` from 0 (all style) to 1.

    Both (H, W, 3) float32, sRGB-encoded. Luma is that of BT.709. Where the plate's chroma does not fit
    a style's luma within [0, 1], it is made smaller, keeping hue and luma, so no channel turns negative.
    Returns the argument itself where amount is 0.
    """
    if amount == 0:
        return styled
    luma = _luma(styled)
    chroma = plate - _luma(plate)
    most, least = brightest(chroma)[..., None], brightest(-chroma)[..., None]
    # Chroma has no luma, so it reaches above and below 0, or is 0: then any small divisor works.
    nearly = np.float32(1e-12)
    chroma *= np.clip(np.minimum((1 - luma) / (most + nearly), luma / (least + nearly)), 0, 1)
    chroma += luma
    chroma -= styled
    chroma *= np.float32(amount)
    chroma += styled
    return chroma


def put_back_detail(styled: Samples, plate: Samples, amount: float) -> Samples:
    """Add the fine detail of the plate that the style has lost, by `amount` from 0 to 1.

    Both (H, W, 3) float32, sRGB-encoded. Detail is a picture minus its Gaussian of `DETAIL_SIGMA`; a
    result depends on `DETAIL_RADIUS` pixels around it, mirrored at the frame's edge, so run it on
    full frames. Detail that the style itself shows is not added twice: a style that changes nothing
    gains nothing. Unclamped. Returns the argument itself where amount is 0.
    """
    if amount == 0:
        return styled
    wanted, shown = _detail(plate), _detail(styled)
    nothing = np.float32(0)
    wanted -= np.clip(shown, np.minimum(wanted, nothing), np.maximum(wanted, nothing))
    wanted *= np.float32(amount)
    wanted += styled
    return wanted


def changed(painted: Samples, linear: Samples, tolerance: float = ROUNDING) -> npt.NDArray[np.bool_]:
    """Where the painting differs from the plate by more than rounding: (H, W), True for changed.

    The comparison is in scene-linear light, before the conversion to the plate's space, in which a log curve
    or a matrix magnifies rounding. A pixel with a NaN or infinite channel in the plate is not changed.
    """
    # Plates hold infinity. Infinity minus infinity is NaN, which is not finite below.
    with np.errstate(invalid="ignore"):
        difference = painted - linear
        np.abs(difference, out=difference)
        limit = brightest(np.abs(linear))
        limit *= np.float32(tolerance)
    # Negated, so that a NaN from the network counts as changed.
    return ~(brightest(difference) <= limit) & np.isfinite(limit)


def restore(result: Samples, plate: Samples, mask: npt.NDArray[np.bool_]) -> Samples:
    """The result where `mask` is True, elsewhere the plate's own samples, bit for bit; one of them where it is all so.

    Both (H, W, C) float32 in the plate's own space; with `changed` as mask an identity network gives
    back the plate exactly, through any matrix or log curve.
    """
    if mask.all():
        return result
    if not mask.any():
        return plate
    chosen = in_each_channel(mask.view(np.uint8), plate.shape[2]).view(np.bool_)
    return np.where(chosen, result, plate)


def _luma(pixels: Samples) -> Samples:
    return np.asarray(cv2.transform(pixels, LUMA[None]), np.float32).reshape(*pixels.shape[:2], 1)


def _detail(pixels: Pixels) -> Samples:
    size = 2 * DETAIL_RADIUS + 1
    blurred = cv2.GaussianBlur(pixels, (size, size), DETAIL_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(pixels - blurred, np.float32)
