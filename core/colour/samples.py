"""Samples of a file as float32 fractions of their greatest value, and back."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.errors import UnsupportedMedia
from impasto.core.frame import Pixels, Samples


def to_float(pixels: Pixels) -> Samples:
    """Samples of a file as float32: integers divided by their greatest value, floats as they are.

    float16 and integers up to 16 bits convert without loss of a step. float32 is returned itself.
    """
    if np.issubdtype(pixels.dtype, np.floating):
        return pixels.astype(np.float32, copy=False)
    fractions = pixels.astype(np.float32)
    fractions *= np.float32(1.0 / _greatest(pixels.dtype))
    return fractions


def to_samples(fractions: Samples, dtype: npt.DTypeLike) -> Pixels:
    """float32 as samples of a file: the inverse of `to_float`.

    Integers are rounded to the nearest (ties to even) and clipped to their range, NaN becomes 0.
    float16 overflows to infinity above 65519, as the half type does; no float is clipped.
    """
    kind = np.dtype(dtype)
    if np.issubdtype(kind, np.floating):
        with np.errstate(over="ignore"):
            return fractions.astype(kind, copy=False)
    greatest = _greatest(kind)
    scaled = fractions * np.float32(greatest)
    np.rint(scaled, out=scaled)
    np.fmax(scaled, np.float32(0), out=scaled)  # 0 for NaN as well
    np.minimum(scaled, np.float32(greatest), out=scaled)
    samples: Pixels = scaled.astype(kind)
    return samples


def in_each_channel(plane: Pixels, channels: int = 3) -> Pixels:
    """(H, W) float32 or uint8 as 1 or 3 equal channels: numpy is far quicker with (H, W, 3) than with (H, W, 1)."""
    if channels == 1:
        return plane[..., None]
    wide: Pixels = np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB))
    return wide


def _greatest(dtype: npt.DTypeLike) -> int:
    kind = np.dtype(dtype)
    if kind not in (np.uint8, np.uint16):
        raise UnsupportedMedia(f"expected a colour layer of uint8, uint16 or float samples, got {kind}")
    return int(np.iinfo(kind).max)
