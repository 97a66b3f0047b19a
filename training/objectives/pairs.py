"""Before and after: the generator learns to do to any plate what was done to these."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.core.generators.unet import UNet
from impasto.training.data.pairs import Crops
from impasto.training.losses.adversarial import critic_hinge, generator_hinge, visible_to_critic
from impasto.training.losses.consistency import shift_consistency, shifted
from impasto.training.losses.reconstruction import multi_scale_l1, range_penalty
from impasto.training.losses.texture import laplacian_swd
from impasto.training.recipe import Recipe

HALF = torch.bfloat16
"""Trains without loss scaling, on every device that has mixed precision at all."""

HEARD_AFTER = 100
"""Steps that the critic trains alone before the generator hears it."""


@dataclass(frozen=True, slots=True)
class Step:
    """The two losses of one step, and figures for the log."""

    generator: Tensor
    critic: Tensor | None
    figures: dict[str, float]


def step(net: UNet, critic: nn.Module, crops: Crops, recipe: Recipe, number: int) -> Step:
    """Losses of one batch; multi-scale L1, texture, conditional hinge, shift consistency and range.

    Nothing is updated here. Draws from torch's global random state.
    """
    device_type = crops.before.device.type
    plate = disturbed(crops.before, recipe)
    with torch.autocast(device_type, dtype=HALF, enabled=recipe.mixed_precision):
        gain, bias = net(plate)
    result = gain.float() * plate + bias.float()
    # Where the crop ends but the picture goes on, the truth stands in: nothing there is judged.
    shown = torch.where(crops.judged > 0, result, crops.after)
    terms = {
        "reconstruction": recipe.reconstruction * multi_scale_l1(shown, crops.after),
        "out_of_range": recipe.out_of_range * range_penalty(result),
    }
    if recipe.texture:
        terms["texture"] = recipe.texture * laplacian_swd(shown, crops.after)
    if recipe.consistency and number % recipe.consistency_every == 0:
        terms["consistency"] = recipe.consistency * _shift_loss(net, plate, result, recipe)
    critic_loss = None
    if recipe.adversarial and number >= recipe.critic_from and number % recipe.adversarial_every == 0:
        fake = torch.cat((visible_to_critic(shown), crops.before), dim=1)
        real = torch.cat((crops.after, crops.before), dim=1)
        with torch.autocast(device_type, dtype=HALF, enabled=recipe.mixed_precision):
            if number >= recipe.critic_from + HEARD_AFTER:
                critic.requires_grad_(False)
                weight = recipe.adversarial * recipe.adversarial_every
                terms["adversarial"] = weight * generator_hinge(critic(fake).float())
                critic.requires_grad_(True)
            on_real, on_fake = critic(real).float(), critic(fake.detach()).float()
        critic_loss = critic_hinge(on_real, on_fake)
    total = torch.stack(list(terms.values())).sum()
    figures = {name: float(term.detach()) for name, term in terms.items()}
    figures["loss"] = float(total.detach())
    if critic_loss is not None:
        figures["critic_gap"] = float((on_real.mean() - on_fake.mean()).detach())
    return Step(total, critic_loss, figures)


def disturbed(plate: Tensor, recipe: Recipe) -> Tensor:
    """The plate with noise and a small change of brightness, of another strength for every picture of the batch."""
    count = plate.shape[0]
    noise = recipe.noise * torch.rand(count, 1, 1, 1, device=plate.device) * torch.randn_like(plate)
    gain = 1 + recipe.gain * (2 * torch.rand(count, 1, 1, 1, device=plate.device) - 1)
    return plate * gain + noise


def _shift_loss(net: UNet, plate: Tensor, result: Tensor, recipe: Recipe) -> Tensor:
    """On half of the batch, to save time: moved by a fraction of a cell and with noise of its own."""
    some = max(1, plate.shape[0] // 2)
    offset = (torch.rand(some, 2, device=plate.device) - 0.5) * 2 * net.config.shuffle
    moved = shifted(plate[:some], offset)
    moved = moved + 0.5 * recipe.noise * torch.rand(some, 1, 1, 1, device=plate.device) * torch.randn_like(moved)
    with torch.autocast(plate.device.type, dtype=HALF, enabled=recipe.mixed_precision):
        gain, bias = net(moved)
    return shift_consistency(result[:some], gain.float() * moved + bias.float(), offset, recipe.rim)
