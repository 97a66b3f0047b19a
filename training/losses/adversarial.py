"""The contest between generator and critic (hinge form, Lim & Ye 2017, arXiv:1705.02894)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def critic_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises, from its scores of real and generated pictures."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """What the generator minimises, from the critic's scores of its pictures."""
    return -fake.mean()


def visible_to_critic(result: Tensor) -> Tensor:
    """The result as the critic may see it: held near [0, 1], so that range is never what it judges by."""
    return result.clamp(-0.05, 1.05)
