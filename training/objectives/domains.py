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
from impasto.training.data.domains import Domains, draw_pictures
from impasto.training.data.pairs import as_float
from impasto.training.discriminators import PatchGAN, new_critic
from impasto.training.distributed import team
from impasto.training.loop import Step, Task, require_room
from impasto.training.losses.adversarial import CONTESTS, gradient_penalty, visible_to_critic
from impasto.training.losses.contrastive import Projections, draw_places, patch_nce
from impasto.training.losses.reconstruction import range_penalty
from impasto.training.networks import new_network
from impasto.training.objectives.pairs import HALF, PROBED, disturbed, shift_loss
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe

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


class Contestant(nn.Module):
    """The critic of the other folder, and the heads in which contrast is measured."""

    def __init__(self, critic: PatchGAN, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.critic = critic
        self.heads = Projections(widths)


def task_for(domains: Domains, recipe: Recipe) -> Task:
    """What a run on two folders does; TrainingError for another generator, or pictures smaller than a crop."""
    if recipe.generator != "resunet":
        raise TrainingError(
            "expected the generator resunet for two folders, whose way down measures contrast, "
            f"got {recipe.generator}; leave generator out of the recipe"
        )
    require_room(domains.smallest, recipe)

    def critic() -> Contestant:
        like = new_network(recipe.generator, recipe.size)
        return Contestant(new_critic(recipe.contest, conditional=False), like.config.widths)

    return Task(
        net=lambda: new_network(recipe.generator, recipe.size),
        digest=domains.digest,
        step=lambda net, critic, number, drawn: step(net, critic, domains, recipe, number, drawn),
        show=lambda net, path: show(net, domains, path),
        critic=critic,
        probe=lambda: probe(domains, recipe),
    )


def probe(domains: Domains, recipe: Recipe) -> Probe:
    """Crops of both folders, to be looked at for signs of collapse."""
    drawn = torch.Generator().manual_seed(0)
    return Probe(
        *(draw_pictures(pictures, PROBED, recipe.crop, drawn) for pictures in (domains.plates, domains.wanted))
    )


def step(net: UNet, beside: nn.Module, domains: Domains, recipe: Recipe, number: int, drawn: torch.Generator) -> Step:
    """Losses of one batch: contest, contrast, shift consistency and range.

    The heads learn from the same contrast as the generator, in the critic's step. Nothing is updated here. Draws from
    `drawn` and from torch's global random state.
    """
    assert isinstance(net, ResUNet)
    assert isinstance(beside, Contestant)
    device, contest = next(net.parameters()).device, CONTESTS[recipe.contest]
    plate, wanted = (
        draw_pictures(pictures, recipe.batch, recipe.crop, drawn).to(device)
        for pictures in (domains.plates, domains.wanted)
    )
    whole, mates = disturbed(plate, recipe), team()
    plate, wanted = mates.share(whole), mates.share(wanted)
    with torch.autocast(device.type, dtype=HALF, enabled=recipe.mixed_precision):
        gain, bias = net(plate)
        result = gain.float() * plate + bias.float()
        views = _Views(net.levels(unshuffled(plate)), net.levels(unshuffled(result)))
    places = draw_places(views.plate, PLACES)
    real, fake = visible_to_critic(wanted), visible_to_critic(result)
    beside.requires_grad_(False)
    with torch.autocast(device.type, dtype=HALF, enabled=recipe.mixed_precision):
        judged = beside.critic(fake).float()
    terms = {
        "out_of_range": recipe.out_of_range * range_penalty(result),
        "adversarial": recipe.adversarial * contest.generator(judged),
        "contrast": recipe.contrast * _contrast(beside.heads, views, places),
    }
    if recipe.consistency and number % recipe.consistency_every == 0:
        terms["consistency"] = recipe.consistency * shift_loss(net, whole, result, recipe)
    beside.requires_grad_(True)
    with torch.autocast(device.type, dtype=HALF, enabled=recipe.mixed_precision):
        on_real, on_fake = beside.critic(real).float(), beside.critic(fake.detach()).float()
    critic_loss = contest.critic(on_real, on_fake)
    if contest.gradient_penalty:
        critic_loss = critic_loss + gradient_penalty(beside.critic, real, fake)
    seen = _Views(tuple(level.detach() for level in views.plate), tuple(level.detach() for level in views.result))
    critic_loss = critic_loss + _contrast(beside.heads, seen, places)
    total = torch.stack(list(terms.values())).sum()
    figures = {name: float(term.detach()) for name, term in terms.items()}
    figures["loss"] = float(total.detach())
    figures["critic_gap"] = float((on_real.mean() - on_fake.mean()).detach())
    return Step(total, critic_loss, figures)


def _contrast(heads: Projections, views: _Views, places: list[Tensor]) -> Tensor:
    result, plate = (tuple(level.float() for level in levels) for levels in (views.result, views.plate))
    return patch_nce(heads(result, places), heads(plate, places))


def show(net: UNet, domains: Domains, path: Path) -> None:
    """A contact sheet of plates and results."""
    device = next(net.parameters()).device
    rows: list[tuple[Tensor, ...]] = []
    for stored in domains.plates[:: max(1, len(domains.plates) // ROWS)][:ROWS]:
        plate = as_float(stored)
        rows.append((plate, stylize(net, plate.to(device)).cpu()))
    write_sheet(path, rows)
