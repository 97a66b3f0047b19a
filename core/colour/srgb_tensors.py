"""The sRGB curve of `impasto.core.colour.srgb` in tensors; results agree within a few units in the last place."""

from __future__ import annotations

import torch
from torch import Tensor

SCALE = 1.055
OFFSET = 0.055
LINEAR_KNEE = 0.0031308
ENCODED_KNEE = 12.92 * 0.0031308


def encode(linear: Tensor) -> Tensor:
    """Linear light through the sRGB curve, mirrored at 0, unclamped."""
    size = linear.abs()
    curved = size.pow(1 / 2.4).mul_(SCALE).sub_(OFFSET)
    return torch.where(size <= LINEAR_KNEE, size.mul_(12.92), curved).copysign_(linear)


def decode(encoded: Tensor) -> Tensor:
    """sRGB-encoded values as linear light: the inverse of `encode`."""
    size = encoded.abs()
    curved = (size + OFFSET).div_(SCALE).pow_(2.4)
    return torch.where(size <= ENCODED_KNEE, size.mul_(1 / 12.92), curved).copysign_(encoded)
