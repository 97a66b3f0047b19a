"""Shift consistency: the result must move with the plate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(picture: Tensor, offset: Tensor) -> Tensor:
    """Each picture of a batch moved by its (x, y) in `offset` (N, 2), in pixels, bilinear, edges repeated."""
    count, _, height, width = picture.shape
    size = torch.tensor([width, height], dtype=picture.dtype, device=picture.device)
    theta = torch.eye(2, 3, dtype=picture.dtype, device=picture.device).repeat(count, 1, 1)
    theta[:, :, 2] = -2 * offset / size
    grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def shift_consistency(result: Tensor, result_of_shifted: Tensor, offset: Tensor, rim: int) -> Tensor:
    """Mean absolute difference between shifting after and before the network, `rim` pixels from the edge left out."""
    inside = (..., slice(rim, -rim), slice(rim, -rim))
    return (shifted(result, offset)[inside] - result_of_shifted[inside]).abs().mean()
