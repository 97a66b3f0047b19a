"""The sRGB curve of the working picture (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np

from impasto.core.frame import Samples

_SCALE = np.float32(1.055)
_OFFSET = _SCALE - np.float32(1)
"""0.055, as the difference that maps 1 to exactly 1 in float32."""

_LINEAR_KNEE = np.float32(0.0031308)
_ENCODED_KNEE = np.float32(12.92 * 0.0031308)
"""Where `encode` changes branch. The standard prints 0.04045, a rounding of the same number; with it
the few floats between the two would be decoded by the other branch than encoded them."""

_SIGN = np.uint32(1 << 31)

CHUNK_ROWS = 64
"""Rows per step, so that the intermediate values stay in the processor's cache."""


def encode(linear: Samples) -> Samples:
    """Linear light through the sRGB curve: a new float32 array of the same shape.

    The exact piecewise curve of IEC 61966-2-1, relative precision about 2e-7 down to zero. Nothing
    is clamped: above 1 the curve goes on, below 0 it is mirrored. NaN stays NaN.
    """
    encoded = np.empty(linear.shape, np.float32)
    for top in range(0, len(linear), CHUNK_ROWS):
        source, target = linear[top : top + CHUNK_ROWS], encoded[top : top + CHUNK_ROWS]
        size = np.abs(source)
        np.power(size, np.float32(1 / 2.4), out=target)
        target *= _SCALE
        target -= _OFFSET
        np.copyto(target, size * np.float32(12.92), where=size <= _LINEAR_KNEE)
        _copy_signs(target, source)
    return encoded


def decode(encoded: Samples) -> Samples:
    """sRGB-encoded values as linear light: the inverse of `encode`, with the same range and precision.

    Values of a network outside [0, 1] are kept: negatives stay negative, the curve goes on above 1.
    """
    linear = np.empty(encoded.shape, np.float32)
    for top in range(0, len(encoded), CHUNK_ROWS):
        source, target = encoded[top : top + CHUNK_ROWS], linear[top : top + CHUNK_ROWS]
        size = np.abs(source)
        np.add(size, _OFFSET, out=target)
        target /= _SCALE
        np.power(target, np.float32(2.4), out=target)
        np.copyto(target, size * np.float32(1 / 12.92), where=size <= _ENCODED_KNEE)
        _copy_signs(target, source)
    return linear


def _copy_signs(target: Samples, source: Samples) -> None:
    """`np.copysign` onto what has no sign yet, in a fifth of its time."""
    bits = target.view(np.uint32)
    np.bitwise_or(bits, source.view(np.uint32) & _SIGN, out=bits)
