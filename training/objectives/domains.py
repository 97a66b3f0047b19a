"""Two unpaired folders: the generator makes plates that a critic takes for pictures of the other folder.

What keeps the content where it is is contrast: each place of the result must be more like the same place of its
plate than like any other place of it (CUT, Park et al. 2020, arXiv:2007.15651). This way learns colour, light and
texture; strokes need painted pictures: `impasto.training.objectives.pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.core.errors import TrainingError
from impasto.core.generators.resunet import ResUNet, unshuffled
from impasto.core.generators.unet import UNet
from impasto.training.collapse_monitor import Probe
from impasto.training.cpu_pace import autocast
from impasto.training.data.domains import Domains, draw_pictures
from impasto.training.data.pictures import as_float
from impasto.training.discriminators import PatchGAN, new_critic
from impasto.training.distributed import process_group
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS, gradient_penalty, visible_to_critic
from impasto.training.losses.contrastive import Projections, draw_places, patch_nce
from impasto.training.losses.reconstruction import range_penalty
from impasto.training.networks import new_network
from impasto.training.objectives.pairs import PROBED, disturbed, shift_loss
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe
from impasto.training.task import StepLosses, TrainingTask, require_room

RECIPE = Recipe(
    minutes=60.0,
    batch=4,
    crop=128,
    learning_rate=8e-4,
    reconstruction=0.0,
    texture=0.0,
    adversarial=0.3,
    contrast=1.0,
    adversarial_every=1,
    critic_from=0,
    average=0.995,
)
"""The critic decides the look here, from the first step on."""
PLACES = 128
"""Places of each level that are told from each other."""
ROWS = 4
"""Plates on a contact sheet."""


@dataclass(frozen=True, slots=True)
class _Views:
    plate: tuple[Tensor, ...]
    result: tuple[Tensor, ...]


class DomainCritic(nn.Module):
    """The critic of the other folder, and the projections in which contrast is measured."""

    def __init__(self, critic: PatchGAN, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.critic = critic
        self.heads = Projections(widths)


def task_for(domains: Domains, recipe: Recipe) -> TrainingTask:
    """The task of a run on two folders; TrainingError for another generator, or pictures smaller than a crop."""
    if recipe.generator != "resunet":
        raise TrainingError(
            "expected the generator resunet for two folders, whose way down measures contrast, "
            f"got {recipe.generator}; leave generator out of the recipe"
        )
    require_room(domains.smallest, recipe)

    def critic() -> DomainCritic:
        like = new_network(recipe.generator, recipe.size)
        return DomainCritic(new_critic(recipe.adversarial_form, conditional=False), like.config.widths)

    return TrainingTask(
        net=lambda: new_network(recipe.generator, recipe.size),
        digest=domains.digest,
        step=lambda net, critic, number, rng: step(net, critic, domains, recipe, number, rng),
        preview=lambda net, path: write_preview(net, domains, path),
        critic=critic,
        probe=lambda: probe(domains, recipe),
    )


def probe(domains: Domains, recipe: Recipe) -> Probe:
    """Crops of both folders, as a probe for signs of collapse."""
    rng = torch.Generator().manual_seed(0)
    return Probe(*(draw_pictures(pictures, PROBED, recipe.crop, rng) for pictures in (domains.plates, domains.wanted)))


def step(
    net: UNet, critic: nn.Module, domains: Domains, recipe: Recipe, number: int, rng: torch.Generator
) -> StepLosses:
    """Losses of one batch: adversarial, contrast, shift consistency and range.

    The projections learn from the same contrast as the generator, in the critic's step. It updates nothing. Draws from
    `rng` and from torch's global random state.
    """
    assert isinstance(net, ResUNet)
    assert isinstance(critic, DomainCritic)
    device, form = next(net.parameters()).device, ADVERSARIAL_FORMS[recipe.adversarial_form]
    plate, wanted = (
        draw_pictures(pictures, recipe.batch, recipe.crop, rng).to(device)
        for pictures in (domains.plates, domains.wanted)
    )
    whole, group = disturbed(plate, recipe), process_group()
    plate, wanted = group.shard(whole), group.shard(wanted)
    with autocast(device.type, recipe):
        gain, bias = net(plate)
        result = gain.float() * plate + bias.float()
        views = _Views(net.levels(unshuffled(plate)), net.levels(unshuffled(result)))
    places = draw_places(views.plate, PLACES)
    real, fake = visible_to_critic(wanted), visible_to_critic(result)
    critic.requires_grad_(False)
    with autocast(device.type, recipe):
        scores = critic.critic(fake).float()
    terms = {
        "out_of_range": recipe.out_of_range * range_penalty(result),
        "adversarial": recipe.adversarial * form.generator(scores),
        "contrast": recipe.contrast * _contrast(critic.heads, views, places),
    }
    if recipe.consistency and number % recipe.consistency_every == 0:
        terms["consistency"] = recipe.consistency * shift_loss(net, whole, result, recipe)
    critic.requires_grad_(True)
    with autocast(device.type, recipe):
        on_real, on_fake = critic.critic(real).float(), critic.critic(fake.detach()).float()
    critic_loss = form.critic(on_real, on_fake)
    if form.gradient_penalty:
        critic_loss = critic_loss + gradient_penalty(critic.critic, real, fake)
    seen = _Views(tuple(level.detach() for level in views.plate), tuple(level.detach() for level in views.result))
    critic_loss = critic_loss + _contrast(critic.heads, seen, places)
    total = torch.stack(list(terms.values())).sum()
    figures = {name: float(term.detach()) for name, term in terms.items()}
    figures["loss"] = float(total.detach())
    figures["critic_gap"] = float((on_real.mean() - on_fake.mean()).detach())
    return StepLosses(total, critic_loss, figures)


def _contrast(heads: Projections, views: _Views, places: list[Tensor]) -> Tensor:
    result, plate = (tuple(level.float() for level in levels) for levels in (views.result, views.plate))
    return patch_nce(heads(result, places), heads(plate, places))


def write_preview(net: UNet, domains: Domains, path: Path) -> None:
    """A contact sheet of plates and results."""
    device = next(net.parameters()).device
    rows: list[tuple[Tensor, ...]] = []
    for stored in domains.plates[:: max(1, len(domains.plates) // ROWS)][:ROWS]:
        plate = as_float(stored)
        rows.append((plate, stylize(net, plate.to(device)).cpu()))
    write_sheet(path, rows)
