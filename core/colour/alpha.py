"""Premultiplied colour and its matte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from impasto.core.colour.samples import in_each_channel
from impasto.core.frame import Pixels, Samples

LEAST_ALPHA = np.float32(2.0**-10)
"""Below this, colour divided by alpha is noise (and 8-bit alpha has no such step): the network
sees filled colour there, and the result keeps the plate's own samples."""


def coverage(alpha: Pixels) -> Samples:
    """How far the colour under a matte can be trusted: alpha in [0, 1], and 0 below `LEAST_ALPHA`.

    Takes (H, W) of float samples (see `to_float`). Alpha above 1 counts as 1; NaN and infinity count as 0.
    """
    alpha = alpha.astype(np.float32, copy=False)
    return np.asarray(np.where(is_covered(alpha), np.minimum(alpha, np.float32(1)), np.float32(0)), np.float32)


def is_covered(alpha: Pixels) -> npt.NDArray[np.bool_]:
    """Where `coverage` is not 0."""
    return (alpha >= LEAST_ALPHA) & (alpha < np.float32(np.inf))


def unpremultiply(colour: Samples, alpha: Pixels) -> Samples:
    """Colour divided by its matte: (H, W, C) by (H, W), a new array, unclamped.

    It works on the plate's own samples, in the plate's space, as hosts do. Where
    `coverage` is 0 the colour is unchanged.
    """
    divisor = np.where(is_covered(alpha), alpha, np.float32(1)).astype(np.float32, copy=False)
    return np.asarray(colour / in_each_channel(divisor, colour.shape[2]), np.float32)


def premultiply(colour: Samples, alpha: Pixels) -> Samples:
    """Colour times alpha, (H, W, C) by (H, W): the inverse of `unpremultiply` where `coverage` is not 0.

    Where it is 0, a plate may hold light without a matte (glows, fire), which `restore` puts back.
    """
    return np.asarray(colour * in_each_channel(alpha.astype(np.float32, copy=False), colour.shape[2]), np.float32)
