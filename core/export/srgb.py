"""The sRGB curve in operators that exported files may hold, unlike `impasto.core.colour.srgb_tensors`."""

from __future__ import annotations

import torch
from torch import Tensor


def encode(linear: Tensor) -> Tensor:
    """Linear light through the sRGB curve, as `impasto.core.colour.encode` has it."""
    size = linear.abs()
    curve = 1.055 * size.pow(1.0 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, size * 12.92, curve) * linear.sign()


def decode(encoded: Tensor) -> Tensor:
    """sRGB-encoded values as linear light, as `impasto.core.colour.decode` has it: odd, and going on above 1."""
    size = encoded.abs()
    curve = ((size + 0.055) / 1.055).pow(2.4)
    return torch.where(size <= 0.04044994, size / 12.92, curve) * encoded.sign()
