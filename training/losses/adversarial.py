"""Adversarial losses of generator and critic, in three forms that a recipe may name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.training.distributed import process_group

PENALTY = 10.0
"""Weight of the gradient penalty of `wgan-gp`."""
DRIFT = 1e-3
"""Weight that keeps the scores of `wgan-gp` near zero."""


@dataclass(frozen=True, slots=True)
class AdversarialForm:
    """One form: what generator and critic minimise, and how the critic is bounded."""

    critic: Callable[[Tensor, Tensor], Tensor]
    """From its scores of real and generated pictures."""
    generator: Callable[[Tensor], Tensor]
    """From the critic's scores of generated pictures."""
    spectral_norm: bool = True
    gradient_penalty: bool = False
    widest_gap: float = 5.0
    """How far the mean scores of real and generated pictures may lie apart before the critic has won."""


def critic_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge form (Lim & Ye 2017, arXiv:1705.02894)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """What the generator minimises in the hinge form, and in Wasserstein's."""
    return -fake.mean()


def critic_least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares (Mao et al. 2017, arXiv:1611.04076): real is 1, generated 0."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def generator_least_squares(fake: Tensor) -> Tensor:
    """Least squares: generated pictures should score as real ones."""
    return 0.5 * (fake - 1).square().mean()


def critic_wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein distance (Arjovsky et al. 2017, arXiv:1701.07875), with a drift term as in Karras et al. 2018."""
    return fake.mean() - real.mean() + DRIFT * real.square().mean()


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the critic's slope is from 1 between real and generated (Gulrajani et al. 2017, arXiv:1704.00028).

    The slope is that of the sum of patch scores, divided by the root of their number: otherwise the penalty would
    depend on the size of the crop. Draws from torch's global random state.
    """
    group = process_group()
    part = group.shard(torch.rand(group.size * real.shape[0], 1, 1, 1, device=real.device))
    between = (part * real + (1 - part) * fake).detach().requires_grad_(True)
    scores: Tensor = critic(between)
    (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    patches = scores[0].numel()
    steepness: Tensor = slope.flatten(1).norm(dim=1) / patches**0.5
    return PENALTY * (steepness - 1).square().mean()


def visible_to_critic(result: Tensor) -> Tensor:
    """The result as the critic sees it: clamped near [0, 1], so that the range never gives it away."""
    return result.clamp(-0.05, 1.05)


ADVERSARIAL_FORMS: dict[str, AdversarialForm] = {
    "hinge": AdversarialForm(critic_hinge, generator_hinge),
    "lsgan": AdversarialForm(critic_least_squares, generator_least_squares, widest_gap=2.0),
    "wgan-gp": AdversarialForm(
        critic_wasserstein, generator_hinge, spectral_norm=False, gradient_penalty=True, widest_gap=math.inf
    ),
}
"""Name in a recipe, as its setting `adversarial_form` -> form of the adversarial loss."""
