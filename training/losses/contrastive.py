"""Contrastive loss: each place of a result must show what the plate shows there, however it is painted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 0.07


class Projections(nn.Module):
    """A small head for each level of features, so that the likeness is learned (CUT, section 3.2)."""

    def __init__(self, widths: tuple[int, ...], out: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, out), nn.ReLU(), nn.Linear(out, out)) for width in widths
        )

    def forward(self, features: tuple[Tensor, ...], places: list[Tensor]) -> list[Tensor]:
        """Unit vectors (N, K, out) of each level's (N, C, H, W) features at K flat places."""
        return [
            F.normalize(head(level.flatten(2).transpose(1, 2)[:, chosen]), dim=2)
            for head, level, chosen in zip(self.heads, features, places, strict=True)
        ]


def draw_places(features: tuple[Tensor, ...], count: int) -> list[Tensor]:
    """Up to `count` places of each level, flat, drawn from torch's global random state."""
    return [torch.randperm(level.shape[2] * level.shape[3], device=level.device)[:count] for level in features]


def patch_nce(queries: list[Tensor], keys: list[Tensor]) -> Tensor:
    """Mean over levels of the cross-entropy of finding the matching place among K of the same picture.

    Queries and keys are unit vectors (N, K, D): of the result, and of the plate at the same places (PatchNCE of
    Park et al. 2020, "Contrastive learning for unpaired image-to-image translation", arXiv:2007.15651). The
    gradient reaches the queries alone.
    """
    losses = []
    for query, key in zip(queries, keys, strict=True):
        likeness = query @ key.detach().transpose(1, 2) / TEMPERATURE
        own = torch.arange(query.shape[1], device=query.device).expand(query.shape[0], -1)
        losses.append(F.cross_entropy(likeness.flatten(0, 1), own.flatten()))
    return torch.stack(losses).mean()
