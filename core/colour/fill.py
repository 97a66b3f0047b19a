"""Fill of pixels without valid colour: under an empty matte, and where a renderer left NaN or infinity."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour.samples import in_each_channel
from impasto.core.frame import Samples

GREATEST_LIGHT = np.float32(65504)
"""The largest half float: a bound, so that the mean of a few absurd values is still finite."""


def fill(colour: Samples, weight: Samples) -> Samples:
    """Replace colour of weight 0 by that of its neighbours; all other pixels stay bit for bit.

    A pull-push pyramid (Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4): a hole gets the
    weighted mean of what surrounds it, from a neighbourhood of about twice the distance to the nearest
    pixel that is not a hole, so the fill is smooth and meets the edge without a step. Runs on the full
    frame, before tiling.

    `colour` is (H, W, 3) float32, `weight` (H, W) float32 in [0, 1]; colour of weight 0 may be NaN, and
    light beyond `GREATEST_LIGHT` counts as `GREATEST_LIGHT`. Returns the argument itself where there is
    nothing to fill, and black where there is nothing to fill from.
    """
    holes = weight <= 0
    if not holes.any():
        return colour
    unknown = holes | np.isnan(colour).any(axis=2)  # a NaN beside a hole must not spread into it
    if unknown.all():
        return np.where(holes[..., None], np.float32(0), colour)
    known = np.clip(colour, -GREATEST_LIGHT, GREATEST_LIGHT)
    np.copyto(known, np.float32(0), where=_wide(unknown))
    filled = _pull_push(known, np.where(unknown, np.float32(0), weight))
    np.copyto(filled, colour, where=_wide(~holes))
    return filled


def fill_invalid(pixels: Samples) -> tuple[Samples, npt.NDArray[np.bool_] | None]:
    """Fill every pixel that has a NaN or infinite channel; the mask (H, W) is True for filled pixels.

    Returns the argument itself and None where all are finite.
    """
    if np.isfinite(pixels).all():
        return pixels, None
    finite: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(pixels), axis=2)
    return fill(pixels, finite.astype(np.float32)), ~finite


def _pull_push(colour: Samples, weight: Samples) -> Samples:
    """Colour with every hole filled from the next coarser level; the samples in a hole must be finite."""
    if weight.min() > 0:
        return colour
    height, width = weight.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    weighted = _resized(colour * in_each_channel(weight), size, cv2.INTER_AREA)
    total = _resized(weight, size, cv2.INTER_AREA)
    weighted /= in_each_channel(np.maximum(total, np.float32(1e-12)))
    smooth = _resized(_pull_push(weighted, total), (width, height), cv2.INTER_LINEAR)
    np.copyto(smooth, colour, where=_wide(weight > 0))
    return smooth


def _wide(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask (H, W) for each channel."""
    return in_each_channel(mask.view(np.uint8)).view(np.bool_)


def _resized(pixels: Samples, size: tuple[int, int], interpolation: int) -> Samples:
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.float32)
