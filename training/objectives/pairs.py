"""Before and after: the generator learns to do to any plate what was done to these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.core.generators.unet import UNet
from impasto.core.style_file import Style
from impasto.training.adapting import adapted, digest_over, require_codes_to_adapt
from impasto.training.collapse_monitor import Probe
from impasto.training.cpu_pace import autocast
from impasto.training.data.augmentation import compressed, exposed
from impasto.training.data.guides import with_guides
from impasto.training.data.half_size import halved
from impasto.training.data.pairs import Crops, Pair, digest, draw_crops
from impasto.training.data.pictures import as_float
from impasto.training.discriminators import new_critic
from impasto.training.distributed import ProcessGroup, process_group
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS, gradient_penalty, visible_to_critic
from impasto.training.losses.consistency import shift_consistency, shifted
from impasto.training.losses.reconstruction import multi_scale_l1, range_penalty
from impasto.training.losses.texture import laplacian_swd, random_gram
from impasto.training.networks import new_network
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe
from impasto.training.task import StepLosses, TrainingTask, require_room

ROWS = 4
"""Pictures on a contact sheet."""
PROBED = 6
"""Crops in the probe for signs of collapse."""
CRITIC_ALONE = 100
"""Steps that the critic trains before the generator learns from it."""


def task_for(pairs: Sequence[Pair], recipe: Recipe, base: Style | None = None) -> TrainingTask:
    """The task of a run on pairs of pictures; TrainingError where a crop does not fit into the smallest.

    With a `base` only what tells its styles apart is trained (`impasto.training.adapting`); TrainingError for a base
    that cannot be adapted.
    """
    require_room(min(min(pair.before.shape[1:]) for pair in pairs), recipe)

    small = halved(pairs, recipe.crop) if recipe.progressive else pairs
    current = small

    def choose_size(fraction: float) -> None:
        nonlocal current
        current = small if fraction < recipe.progressive else pairs

    def draw(rng: torch.Generator) -> Crops:
        return draw_crops(current, recipe.batch, recipe.crop, recipe.rim, rng)

    styles = 1 + max(pair.style for pair in pairs)
    if base is not None:
        require_codes_to_adapt(base)
    return TrainingTask(
        net=lambda: new_network(recipe.generator, recipe.size, styles=styles) if base is None else adapted(base, pairs),
        digest=digest(pairs) if base is None else digest_over(base, digest(pairs)),
        step=lambda net, critic, number, rng: step(net, critic, draw(rng), recipe, number),
        preview=lambda net, path: write_preview(net, pairs, path),
        critic=lambda: new_critic(recipe.adversarial_form),
        on_fraction=choose_size,
        probe=lambda: probe_of(draw_crops(pairs, PROBED, recipe.crop, recipe.rim, torch.Generator().manual_seed(0))),
    )


def step(net: UNet, critic: nn.Module, crops: Crops, recipe: Recipe, number: int) -> StepLosses:
    """Losses of one batch: multi-scale L1, texture, conditional adversarial loss, shift consistency and range.

    It updates nothing. Draws from torch's global random state: for the whole batch, of which this process then takes
    its share.
    """
    crops = crops.to(next(net.parameters()).device)
    device_type, group = crops.before.device.type, process_group()
    whole, painted, given = disturbed(crops.before, recipe), crops.after, conditions_of(net, crops)
    plate, crops, mine = group.shard(whole), crops.shard(group), given.shard(group)
    with autocast(device_type, recipe):
        gain, bias = net(with_guides(plate, mine.guides), mine.code)
    result = gain.float() * plate + bias.float()
    # Outside the loss mask the target stands in for the result, so that the loss is zero there.
    shown = torch.where(crops.loss_mask > 0, result, crops.after)
    terms = {
        "reconstruction": recipe.reconstruction * multi_scale_l1(shown, crops.after),
        "out_of_range": recipe.out_of_range * range_penalty(result),
    }
    if recipe.texture:
        terms["texture"] = recipe.texture * laplacian_swd(group.gather(shown), painted)
    if recipe.gram:
        terms["gram"] = recipe.gram * random_gram(group.gather(shown), painted)
    if recipe.consistency and number % recipe.consistency_every == 0:
        terms["consistency"] = recipe.consistency * shift_loss(net, whole, result, recipe, given)
    critic_loss, form = None, ADVERSARIAL_FORMS[recipe.adversarial_form]
    if recipe.adversarial and number >= recipe.critic_from and number % recipe.adversarial_every == 0:
        fake = torch.cat((visible_to_critic(shown), crops.before), dim=1)
        real = torch.cat((crops.after, crops.before), dim=1)
        with autocast(device_type, recipe):
            if number >= recipe.critic_from + CRITIC_ALONE:
                critic.requires_grad_(False)
                weight = recipe.adversarial * recipe.adversarial_every
                terms["adversarial"] = weight * form.generator(critic(fake).float())
                critic.requires_grad_(True)
            on_real, on_fake = critic(real).float(), critic(fake.detach()).float()
        critic_loss = form.critic(on_real, on_fake)
        if form.gradient_penalty:
            critic_loss = critic_loss + gradient_penalty(critic, real, fake)
    total = torch.stack(list(terms.values())).sum()
    figures = {name: float(term.detach()) for name, term in terms.items()}
    figures["loss"] = float(total.detach())
    if critic_loss is not None:
        figures["critic_gap"] = float((on_real.mean() - on_fake.mean()).detach())
    return StepLosses(total, critic_loss, figures)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a network gets beside a batch of plates: style codes (N, width), and guide planes (N, planes, H, W)."""

    code: Tensor | None = None
    guides: Tensor | None = None

    def shard(self, group: ProcessGroup) -> Conditions:
        """The part for this process's share of the batch."""
        return Conditions(*(None if each is None else group.shard(each) for each in (self.code, self.guides)))


def conditions_of(net: UNet, crops: Crops) -> Conditions:
    """The conditions of a batch: codes where the network holds several styles, guides where it sees any."""
    code = None if net.codes is None or crops.styles is None else net.codes[crops.styles]
    return Conditions(code, crops.guides)


def probe_of(crops: Crops) -> Probe:
    """Crops as a probe for signs of collapse."""
    return Probe(crops.before, crops.after, crops.loss_mask, crops.styles, crops.guides)


def disturbed(plate: Tensor, recipe: Recipe) -> Tensor:
    """The plate a little wrongly exposed, noisy and partly compressed, by another strength for every picture.

    Nothing moves: before and after stay in register.
    """
    count = plate.shape[0]
    if recipe.exposure:
        plate = exposed(plate, recipe.exposure)
    noise = recipe.noise * torch.rand(count, 1, 1, 1, device=plate.device) * torch.randn_like(plate)
    gain = 1 + recipe.gain * (2 * torch.rand(count, 1, 1, 1, device=plate.device) - 1)
    plate = plate * gain + noise
    return compressed(plate, recipe.compression) if recipe.compression else plate


def shift_loss(net: UNet, plate: Tensor, result: Tensor, recipe: Recipe, given: Conditions | None = None) -> Tensor:
    """Shift consistency on half of the batch, to save time: moved by a fraction of a cell and with noise of its own.

    Takes the plates and conditions of the whole batch, and this process's share of the results. Guides move with their
    plate.
    """
    given = given or Conditions()
    some, group = max(1, plate.shape[0] // 2), process_group()
    offset = (torch.rand(some, 2, device=plate.device) - 0.5) * 2 * net.config.shuffle
    moved = shifted(plate[:some], offset)
    moved = moved + 0.5 * recipe.noise * torch.rand(some, 1, 1, 1, device=plate.device) * torch.randn_like(moved)
    code = None if given.code is None else given.code[:some]
    mine = Conditions(code, None if given.guides is None else shifted(given.guides[:some], offset)).shard(group)
    moved, offset = group.shard(moved), group.shard(offset)
    share = moved.shape[0]
    if share == 0:
        return result.new_zeros(())
    with autocast(plate.device.type, recipe):
        gain, bias = net(with_guides(moved, mine.guides), mine.code)
    loss = shift_consistency(result[:share], gain.float() * moved + bias.float(), offset, recipe.rim)
    return loss * (group.size * share / some)


def shown_of(pairs: Sequence[Pair]) -> list[Pair]:
    """Four pairs spread over all of them; of several styles one or more each, of different pictures where they can."""
    styles = sorted({pair.style for pair in pairs})
    each = -(-ROWS // len(styles))
    shown: list[Pair] = []
    for place, style in enumerate(styles):
        own = [pair for pair in pairs if pair.style == style]
        begin = place * len(own) // (len(styles) * each)
        shown += own[begin :: max(1, len(own) // each)][:each]
    return shown


def write_preview(net: UNet, pairs: Sequence[Pair], path: Path) -> None:
    """A contact sheet of pictures spread over the pairs, four or one of every style: plate, result, target."""
    device = next(net.parameters()).device
    rows: list[tuple[Tensor, ...]] = []
    for pair in shown_of(pairs):
        plate, target = as_float(pair.before), as_float(pair.after)
        rows.append((plate, stylize(net, plate.to(device), pair.style).cpu(), target))
    write_sheet(path, rows)
