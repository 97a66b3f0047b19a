"""Premultiplied colour and its matte."""

from __future__ import annotations

import numpy as np

from impasto.core.frame import Pixels, Samples

LEAST_ALPHA = np.float32(2.0**-10)
"""Below this, colour divided by alpha is noise (and 8-bit alpha has no such step): the network
sees filled colour there, and the result keeps the plate's own samples."""


def coverage(alpha: Pixels) -> Samples:
    """How far the colour under a matte can be trusted: alpha in [0, 1], and 0 below `LEAST_ALPHA`.

    Takes (H, W) of float samples (see `to_float`). Alpha above 1 counts as 1; NaN and infinity count as 0.
    """
    trusted = np.clip(np.nan_to_num(alpha.astype(np.float32), nan=0.0, posinf=0.0), 0, 1)
    trusted[trusted < LEAST_ALPHA] = 0
    return trusted


def unpremultiply(colour: Samples, alpha: Pixels) -> Samples:
    """Colour divided by its matte: (H, W, 3) by (H, W), a new array, unclamped.

    It works on the plate's own samples, in the plate's space, as hosts do. Where
    `coverage` is 0 the colour is unchanged.
    """
    divisor = np.where(coverage(alpha) > 0, alpha, 1).astype(np.float32)
    return colour / divisor[..., None]


def premultiply(colour: Samples, alpha: Pixels) -> Samples:
    """Colour times alpha, (H, W, 3) by (H, W): the inverse of `unpremultiply` where `coverage` is not 0.

    Where it is 0, a plate may hold light without a matte (glows, fire), which `restore` puts back.
    """
    return colour * alpha.astype(np.float32)[..., None]
