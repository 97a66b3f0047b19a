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


def random_gram(result: Tensor, reference: Tensor, *, levels: int = 3) -> Tensor:
    """How far the Gram matrices of random filters differ between two batches, picture by picture.

    Fixed random filters without a mean in any channel, rectified both ways, on levels of a smooth pyramid: no weights
    of anybody (after Ustyuzhaninov et al. 2017, "What does it take to generate natural textures?"). The logarithm lets
    each crop pull equally, flat ones too.
    """
    total = result.new_zeros(())
    filters = random_filters(result)
    for _ in range(levels):
        grams = []
        for picture in (result, reference):
            answers = F.conv2d(picture, filters)
            rectified = torch.cat((F.relu(answers), F.relu(-answers)), dim=1).flatten(2)
            grams.append(rectified @ rectified.transpose(1, 2) / rectified.shape[2])
        apart = (grams[0] - grams[1]).square().sum(dim=(1, 2))
        total = total + 0.5 * torch.log(apart / (grams[1].square().sum(dim=(1, 2)) + LEAST_GRAM) + 0.05).mean()
        result, reference = (_halved(each) for each in (result, reference))
    return total / levels


LEAST_GRAM = 1e-6
"""Energy below which a crop counts as flat."""
RANDOM_FILTERS, RANDOM_SIDE = 48, 7


def random_filters(like: Tensor) -> Tensor:
    """The filters of `random_gram`, (n, 3, side, side), from a fixed seed, of unit length."""
    generator = torch.Generator().manual_seed(7)
    filters = torch.randn(RANDOM_FILTERS, 3, RANDOM_SIDE, RANDOM_SIDE, generator=generator)
    filters = filters - filters.mean(dim=(2, 3), keepdim=True)
    unit: Tensor = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
    return unit.to(like)


def _halved(picture: Tensor) -> Tensor:
    """Half the size, blurred by the binomial of four before: blocks of a box would show."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]).to(picture) / 8
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    return F.conv2d(F.pad(picture, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=3)
