"""Pieces of a painting put into a picture: guided patch synthesis from one or a few paintings, without a network.

From coarse to fine, every patch of the picture is replaced by the nearest patch of the painting, by colour and blurred
brightness. Overlapping patches are blended. The distance is divided by the smallest distance of that piece of painting
to any patch of the picture, so that all of the painting is used (after Elnekave & Weiss 2022, "Generating natural
images with direct patch distributions matching", arXiv:2203.11862, and Elad & Milanfar 2016, "Style transfer via
texture synthesis").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

QUERIES_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """How the painting is cut into patches and matched."""

    size: int = 7
    """Side of a patch, pixels."""
    stride: int = 2
    coarsest: int = 1
    """Level of the pyramid to start from: 0 is full size, each level halves."""
    guide: float = 1.5
    """Weight of blurred brightness against colour: higher keeps the picture more readable."""
    evenness: float = 0.02
    """Smaller uses the painting more evenly; larger lets good patches repeat."""
    patches: int = 9000
    """How many patches of the painting are used, drawn at random."""
    dimensions: int = 32
    """Patches are compared in this many principal components."""
    passes: int = 2


def put_paint(picture: Tensor, paintings: Sequence[Tensor], settings: PatchSettings, *, seed: int = 0) -> Tensor:
    """The picture rebuilt from patches of the paintings; all (1, 3, H, W), working space, result in [0, 1].

    The colours of the picture should be near those of the painting (see `palette`). The same seed gives the same
    result.
    """
    generator = torch.Generator().manual_seed(seed)
    window = torch.hann_window(settings.size + 2, periodic=False)[1:-1]
    window = (window[:, None] * window).flatten().repeat(3) + 1e-3
    result = picture
    for level in range(settings.coarsest, -1, -1):
        target = _scaled(picture, 2**level)
        paint = [_scaled(painting, 2**level) for painting in paintings]
        result = _soften(target) if level == settings.coarsest else _resized(result, target)
        result = _fill_level(result, target, paint, window, settings, generator)
    return result.clamp(0, 1)


def _fill_level(
    result: Tensor,
    target: Tensor,
    paint: Sequence[Tensor],
    window: Tensor,
    settings: PatchSettings,
    generator: torch.Generator,
) -> Tensor:
    size, stride = settings.size, settings.stride
    weight = settings.guide * math.sqrt(3)
    values = torch.cat([_patches(one, size) for one in paint])
    chosen = torch.randperm(len(values), generator=generator)[: settings.patches]
    values = values[chosen]
    guides = torch.cat([_patches(_brightness(one), size) for one in paint])[chosen] * weight
    # In the first pass the patches are compared blurred by an octave, so that strokes are added and not matched.
    soft = torch.cat([_patches(_soften(one), size) for one in paint])[chosen]
    border = size // 2 + stride
    pad = (border, border + stride, border, border + stride)
    wanted = _patches(F.pad(_brightness(target), pad, mode="reflect"), size, stride) * weight
    height, width = target.shape[2:]
    for step in range(settings.passes):
        keys = torch.cat((values if step else soft, guides), dim=1)
        padded = F.pad(result, pad, mode="reflect")
        queries = torch.cat((_patches(padded, size, stride), wanted), dim=1)
        centre, basis = _principal(keys, settings.dimensions, generator)
        nearest = _nearest((queries - centre) @ basis, (keys - centre) @ basis, settings.evenness * size**2)
        votes = values[nearest] * window
        shape = padded.shape[2:]
        total = F.fold(votes.T[None], shape, size, stride=stride)
        weights = F.fold(window.expand_as(votes).T[None].contiguous(), shape, size, stride=stride)
        result = (total / weights.clamp_min(1e-6))[:, :, border : border + height, border : border + width]
    return result


def _nearest(queries: Tensor, keys: Tensor, evenness: float) -> Tensor:
    """Index of the key for each query, by squared distance over (evenness + the key's best distance to any query)."""
    best = torch.full((len(keys),), math.inf)
    for chunk in torch.split(queries, QUERIES_AT_ONCE):
        best = torch.minimum(best, _distances(chunk, keys).amin(0))
    scale = 1 / (best.clamp_min(0) + evenness)
    return torch.cat([(_distances(chunk, keys) * scale).argmin(1) for chunk in torch.split(queries, QUERIES_AT_ONCE)])


def _distances(queries: Tensor, keys: Tensor) -> Tensor:
    squares = (keys * keys).sum(1)
    return torch.addmm(squares[None], queries, keys.T, alpha=-2).add_((queries * queries).sum(1, keepdim=True))


def _principal(samples: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    centre = samples.mean(0, keepdim=True)
    some = samples[torch.randperm(len(samples), generator=generator)[:4000]] - centre
    _, vectors = torch.linalg.eigh(some.T @ some / len(some))
    return centre, vectors[:, -count:]


def _patches(picture: Tensor, size: int, stride: int = 1) -> Tensor:
    return F.unfold(picture, size, stride=stride)[0].T


def _brightness(picture: Tensor) -> Tensor:
    luma = (picture * picture.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return F.avg_pool2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), 5, 1)


def _scaled(picture: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return picture
    return F.interpolate(picture, scale_factor=1 / factor, mode="bicubic", antialias=True).clamp(0, 1)


def _resized(picture: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(picture, size=like.shape[2:], mode="bicubic", antialias=True).clamp(0, 1)


def _soften(picture: Tensor) -> Tensor:
    return _resized(_scaled(picture, 2), picture)
