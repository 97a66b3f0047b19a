"""Before and after: the generator learns to do to any plate what was done to these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.core.generators.unet import UNet
from impasto.training.data.pairs import Crops, Pair, as_float, digest, draw_crops
from impasto.training.discriminators import new_critic
from impasto.training.distributed import team
from impasto.training.loop import Step, Task, require_room
from impasto.training.losses.adversarial import CONTESTS, gradient_penalty, visible_to_critic
from impasto.training.losses.consistency import shift_consistency, shifted
from impasto.training.losses.reconstruction import multi_scale_l1, range_penalty
from impasto.training.losses.texture import laplacian_swd
from impasto.training.monitor import Probe
from impasto.training.networks import new_network
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe

HALF = torch.bfloat16
"""Trains without loss scaling, on every device that has mixed precision at all."""

ROWS = 4
"""Pictures on a contact sheet."""
PROBED = 6
"""Crops that are looked at for signs of collapse."""
HEARD_AFTER = 100
"""Steps that the critic trains alone before the generator hears it."""


def task_for(pairs: Sequence[Pair], recipe: Recipe) -> Task:
    """What a run on pairs of pictures does; TrainingError where a crop does not fit into the smallest."""
    require_room(min(min(pair.before.shape[1:]) for pair in pairs), recipe)

    def draw_and_step(net: UNet, critic: nn.Module, number: int, drawn: torch.Generator) -> Step:
        crops = draw_crops(pairs, recipe.batch, recipe.crop, recipe.rim, drawn)
        return step(net, critic, crops.to(next(net.parameters()).device), recipe, number)

    return Task(
        net=lambda: new_network(recipe.generator, recipe.size),
        digest=digest(pairs),
        step=draw_and_step,
        show=lambda net, path: show(net, pairs, path),
        critic=lambda: new_critic(recipe.contest),
        probe=lambda: probe_of(draw_crops(pairs, PROBED, recipe.crop, recipe.rim, torch.Generator().manual_seed(0))),
    )


def step(net: UNet, critic: nn.Module, crops: Crops, recipe: Recipe, number: int) -> Step:
    """Losses of one batch: multi-scale L1, texture, conditional contest, shift consistency and range.

    Nothing is updated here. Draws from torch's global random state: for the whole batch, of which this process then
    takes its share.
    """
    device_type, mates = crops.before.device.type, team()
    whole, painted = disturbed(crops.before, recipe), crops.after
    plate, crops = mates.share(whole), crops.shared(mates)
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
        terms["texture"] = recipe.texture * laplacian_swd(mates.whole(shown), painted)
    if recipe.consistency and number % recipe.consistency_every == 0:
        terms["consistency"] = recipe.consistency * shift_loss(net, whole, result, recipe)
    critic_loss, contest = None, CONTESTS[recipe.contest]
    if recipe.adversarial and number >= recipe.critic_from and number % recipe.adversarial_every == 0:
        fake = torch.cat((visible_to_critic(shown), crops.before), dim=1)
        real = torch.cat((crops.after, crops.before), dim=1)
        with torch.autocast(device_type, dtype=HALF, enabled=recipe.mixed_precision):
            if number >= recipe.critic_from + HEARD_AFTER:
                critic.requires_grad_(False)
                weight = recipe.adversarial * recipe.adversarial_every
                terms["adversarial"] = weight * contest.generator(critic(fake).float())
                critic.requires_grad_(True)
            on_real, on_fake = critic(real).float(), critic(fake.detach()).float()
        critic_loss = contest.critic(on_real, on_fake)
        if contest.gradient_penalty:
            critic_loss = critic_loss + gradient_penalty(critic, real, fake)
    total = torch.stack(list(terms.values())).sum()
    figures = {name: float(term.detach()) for name, term in terms.items()}
    figures["loss"] = float(total.detach())
    if critic_loss is not None:
        figures["critic_gap"] = float((on_real.mean() - on_fake.mean()).detach())
    return Step(total, critic_loss, figures)


def probe_of(crops: Crops) -> Probe:
    """Crops as what is looked at for signs of collapse."""
    return Probe(crops.before, crops.after, crops.judged)


def disturbed(plate: Tensor, recipe: Recipe) -> Tensor:
    """The plate with noise and a small change of brightness, of another strength for every picture of the batch."""
    count = plate.shape[0]
    noise = recipe.noise * torch.rand(count, 1, 1, 1, device=plate.device) * torch.randn_like(plate)
    gain = 1 + recipe.gain * (2 * torch.rand(count, 1, 1, 1, device=plate.device) - 1)
    return plate * gain + noise


def shift_loss(net: UNet, plate: Tensor, result: Tensor, recipe: Recipe) -> Tensor:
    """Shift consistency on half of the batch, to save time: moved by a fraction of a cell and with noise of its own.

    Takes the plates of the whole batch, and of the results this process's share.
    """
    some, mates = max(1, plate.shape[0] // 2), team()
    offset = (torch.rand(some, 2, device=plate.device) - 0.5) * 2 * net.config.shuffle
    moved = shifted(plate[:some], offset)
    moved = moved + 0.5 * recipe.noise * torch.rand(some, 1, 1, 1, device=plate.device) * torch.randn_like(moved)
    moved, offset = mates.share(moved), mates.share(offset)
    mine = moved.shape[0]
    if mine == 0:
        return result.new_zeros(())
    with torch.autocast(plate.device.type, dtype=HALF, enabled=recipe.mixed_precision):
        gain, bias = net(moved)
    loss = shift_consistency(result[:mine], gain.float() * moved + bias.float(), offset, recipe.rim)
    return loss * (mates.size * mine / some)


def show(net: UNet, pairs: Sequence[Pair], path: Path) -> None:
    """A contact sheet of up to four pictures spread over the pairs: plate, result, target."""
    device = next(net.parameters()).device
    rows: list[tuple[Tensor, ...]] = []
    for pair in pairs[:: max(1, len(pairs) // ROWS)][:ROWS]:
        plate, target = as_float(pair.before), as_float(pair.after)
        rows.append((plate, stylize(net, plate.to(device)).cpu(), target))
    write_sheet(path, rows)
