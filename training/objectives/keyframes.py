"""Painted frames of one shot: the generator learns from patches of the keys to paint all its other frames.

The losses of a step are those of before/after pairs. Here is what differs: what is drawn, what is held out, and what
the contact sheet shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.generators.unet import UNet
from impasto.core.guides import Guide, planes_in
from impasto.training.data.exported_keys import exported_keys
from impasto.training.data.guides import with_guides
from impasto.training.data.keyframes import Key, Keyframes, UnpaintedFrame, digest
from impasto.training.data.pairs import Crops, draw_crop_window
from impasto.training.data.pictures import as_float
from impasto.training.data.shots import spread
from impasto.training.discriminators import new_critic
from impasto.training.export import Label, write_style
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.networks import new_network
from impasto.training.objectives.pairs import probe_of, step
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe
from impasto.training.task import Trained, TrainingTask, require_room

RECIPE = Recipe(
    minutes=5.0,
    batch=5,
    crop=96,
    learning_rate=1.5e-3,
    texture=0.0,
    adversarial=0.005,
    gain=0.02,
    average=0.99,
)
"""For minutes on a CPU, where steps are few: no texture loss, since it doubles the time of a step."""

HELD_OUT = 3
"""Squares of each key that are never learned from; the error there shows whether the run overfits."""
HELD_SIDE = 32
MARGIN = 64
"""Pixels around such a square that the network sees with it."""
ROWS = 4
"""Frames on a contact sheet."""


@dataclass(frozen=True, slots=True)
class KeyframeSplit:
    """The keys, the part of each that is held out, (1, H, W) bool, and unpainted frames."""

    keys: tuple[Key, ...]
    held_out: tuple[Tensor, ...]
    unpainted: tuple[UnpaintedFrame, ...]
    wanted: int | None = None
    guides: tuple[Guide, ...] = ()


def hold_out(keyframes: Keyframes, seed: int) -> KeyframeSplit:
    """Choose the part of each key that is held out."""
    generator = torch.Generator().manual_seed(seed)
    held = tuple(draw_held_out(key, generator) for key in keyframes.keys)
    return KeyframeSplit(keyframes.keys, held, keyframes.unpainted, keyframes.wanted, keyframes.guides)


def task_for(split: KeyframeSplit, recipe: Recipe, output: Path, label: Label) -> TrainingTask:
    """The task of a run on keyframes; at every preview the weights so far become the style `output`.

    TrainingError where a crop does not fit into the frames.
    """
    require_room(min(split.keys[0].plate.shape[1:]), recipe)
    plates = list(seen_by_number(split).values())
    shown = plates[len(plates) // 2]
    keys = exported_keys(split.keys, split.unpainted)

    def publish(trained: Trained) -> None:
        pictures, guides = len(split.keys), split.guides
        write_style(trained, recipe, output, label, pictures=pictures, shown=shown, keys=keys, guides=guides)

    return TrainingTask(
        net=lambda: new_network(recipe.generator, recipe.size, guides=planes_in(split.guides)),
        digest=digest(split.keys, split.unpainted),
        step=lambda net, critic, number, rng: step(net, critic, draw_crops(split, recipe, rng), recipe, number),
        preview=lambda net, path: write_preview(net, split, path),
        critic=lambda: new_critic(recipe.adversarial_form),
        probe=lambda: probe_of(draw_crops(split, recipe, torch.Generator().manual_seed(0))),
        validate=(lambda net: held_out_error(net, split)) if any(held.any() for held in split.held_out) else None,
        publish=publish,
    )


def draw_held_out(key: Key, generator: torch.Generator) -> Tensor:
    """Squares of ordinary texture, (1, H, W) bool; none of a key that is too small to spare any.

    Never the busiest places: a face or a hand may be the only one of its kind.
    """
    held = torch.zeros_like(key.loss_mask)
    if min(held.shape[1:]) < 6 * HELD_SIDE:
        return held
    slopes = as_float(key.plate).diff(dim=2).abs().mean(0)[None, None]
    busy = F.avg_pool2d(F.pad(slopes, (0, 1)), HELD_SIDE)[0, 0]
    whole = F.avg_pool2d(key.loss_mask[None].float(), HELD_SIDE)[0, 0] == 1
    if not whole.any():
        return held
    ordinary = torch.nonzero(whole & (busy <= busy[whole].median()))
    for index in torch.randperm(len(ordinary), generator=generator)[:HELD_OUT]:
        top, left = (HELD_SIDE * int(cell) for cell in ordinary[index])
        held[:, top : top + HELD_SIDE, left : left + HELD_SIDE] = True
    return held


def draw_crops(split: KeyframeSplit, recipe: Recipe, generator: torch.Generator) -> Crops:
    """Random crops of the keys where there is paint; the loss mask leaves out what is held out."""
    befores, afters, masks, guides = [], [], [], []
    for _ in range(recipe.batch):
        index = int(torch.randint(len(split.keys), (), generator=generator))
        key = split.keys[index]
        learned = key.loss_mask & ~split.held_out[index]
        window = draw_crop_window(learned, recipe.crop, recipe.rim, generator, learned)
        befores.append(as_float(key.plate[:, window.rows, window.columns]))
        afters.append(as_float(key.paint[:, window.rows, window.columns]))
        masks.append(window.loss_mask)
        if key.guides is not None:
            guides.append(key.guides[:, window.rows, window.columns].float())
    planes = torch.stack(guides) if guides else None
    return Crops(torch.stack(befores), torch.stack(afters), torch.stack(masks), guides=planes)


@torch.no_grad()
def held_out_error(net: UNet, split: KeyframeSplit) -> float:
    """Mean multi-scale L1 on what is held out of the keys; something must be."""
    device = next(net.parameters()).device
    errors = []
    for key, held in zip(split.keys, split.held_out, strict=True):
        for row, column in torch.nonzero(held[0, ::HELD_SIDE, ::HELD_SIDE]).tolist():
            top, left = max(0, row * HELD_SIDE - MARGIN), max(0, column * HELD_SIDE - MARGIN)
            around = (slice(None), slice(top, top + 2 * MARGIN + HELD_SIDE), slice(left, left + 2 * MARGIN + HELD_SIDE))
            inside = (
                slice(None),
                slice(row * HELD_SIDE - top, (row + 1) * HELD_SIDE - top),
                slice(column * HELD_SIDE - left, (column + 1) * HELD_SIDE - left),
            )
            guides = None if key.guides is None else key.guides[around]
            result = stylize(net, with_guides(as_float(key.plate[around]), guides).to(device))[inside]
            target = as_float(key.paint[around])[inside].to(device)
            errors.append(float(multi_scale_l1(result[None], target[None])))
    return sum(errors) / len(errors)


def write_preview(net: UNet, split: KeyframeSplit, path: Path) -> None:
    """A contact sheet of plate and result on unpainted frames, the least covered among them, or else on the keys."""
    device = next(net.parameters()).device
    plates = seen_by_number(split)
    shown = spread(plates, ROWS)
    if split.wanted is not None and split.wanted not in shown:
        shown = sorted([*spread((number for number in plates if number != split.wanted), ROWS - 1), split.wanted])
    rows: list[tuple[Tensor, ...]] = []
    for number in shown:
        rows.append((plates[number][:3], stylize(net, plates[number].to(device)).cpu()))
    write_sheet(path, rows)


def seen_by_number(split: KeyframeSplit) -> dict[int, Tensor]:
    """What the network sees of the unpainted frames, or else of the keys: (3 + planes, H, W) float32."""
    plates = {frame.number: (frame.picture, frame.guides) for frame in split.unpainted}
    plates = plates or {key.number: (key.plate, key.guides) for key in split.keys}
    return {number: with_guides(as_float(picture), guides) for number, (picture, guides) in plates.items()}
