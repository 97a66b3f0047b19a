"""Texture loss: the same kinds of patches as in another picture, wherever they lie."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH = 7
LEAST_SPREAD = 0.01
"""Two and a half steps of 8 bits: below it a slice of the reference counts as flat. Without this floor one crop
of clear sky outweighs all strokes and throws the run off."""


def laplacian_swd(
    result: Tensor, reference: Tensor, *, slices: int = 16, samples: int = 2048, bands: int = 4
) -> Tensor:
    """Sliced Wasserstein distance between patch distributions, band by band of a Laplacian pyramid.

    Each random slice is divided by the reference's spread, so that strokes count as much as
    colour (after Rabin et al. 2011 and Heitz et al. 2021, arXiv:2006.07229). Draws from torch's
    global random state.
    """
    total = result.new_zeros(())
    for ours, theirs in zip(laplacian(result, bands), laplacian(reference, bands), strict=True):
        size = min(PATCH, *ours.shape[2:])
        filters = torch.randn(slices, 3, size, size, device=result.device)
        filters = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        mine = F.conv2d(ours, filters).transpose(0, 1).flatten(1)
        yours = F.conv2d(theirs, filters).transpose(0, 1).flatten(1)
        # The same places in both: with paired data this halves the variance of the estimate.
        places = torch.randint(mine.shape[1], (min(samples, mine.shape[1]),), device=result.device)
        mine, yours = mine[:, places].sort(dim=1).values, yours[:, places].sort(dim=1).values
        total = total + ((mine - yours).abs().mean(1) / (yours.std(1, correction=0) + LEAST_SPREAD)).mean()
    return total / bands


def laplacian(picture: Tensor, bands: int) -> list[Tensor]:
    """Band-pass levels of a picture, finest first, and the low-pass rest."""
    levels = []
    for _ in range(bands - 1):
        smaller = F.avg_pool2d(picture, 2)
        levels.append(picture - F.interpolate(smaller, size=picture.shape[2:], mode="bilinear", align_corners=False))
        picture = smaller
    return [*levels, picture]
