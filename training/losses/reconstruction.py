"""Reconstruction and range losses."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def multi_scale_l1(result: Tensor, target: Tensor, scales: tuple[int, ...] = (1, 2, 4)) -> Tensor:
    """Mean absolute difference of values and of gradients, averaged over box-filtered scales."""
    total = result.new_zeros(())
    for scale in scales:
        ours = F.avg_pool2d(result, scale) if scale > 1 else result
        theirs = F.avg_pool2d(target, scale) if scale > 1 else target
        difference = ours - theirs
        total = (
            total + difference.abs().mean() + difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
        )
    return total / len(scales)


def range_penalty(result: Tensor) -> Tensor:
    """Mean excess beyond [0, 1]: keeps an unbounded output from running away from the critic."""
    return F.relu((result - 0.5).abs() - 0.5).mean()
