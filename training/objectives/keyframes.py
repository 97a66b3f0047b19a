"""Painted frames of one shot: the generator learns from patches of the keys to paint all its other frames.

The losses of a step are those of before/after pairs. Here is what differs: what is drawn, what is held out, and what
the contact sheet shows. Where the keys hold brushwork that the network does not learn, a hand's, it also learns from
their paint as it is carried to other frames, and from the texture of it; at the end further keys are made there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.generators.unet import UNet
from impasto.core.guides import Guide, planes_in
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.training.data.exported_keys import exported_keys
from impasto.training.data.followed_frames import FollowedShot
from impasto.training.data.guides import with_guides
from impasto.training.data.key_report import REPORT, in_words, shares_of, write_report
from impasto.training.data.keyframes import Key, Keyframes, UnpaintedFrame, digest
from impasto.training.data.made_keys import carried_pair, contradictions, made_keys, prepared
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
"""For minutes on a CPU, where steps are few: no texture loss, since it doubles the time of a step; no Gram matrices,
with which a hand's key got 173 steps in 30 s of one thread instead of 552, and was 4 % worse on what is held out."""

HELD_OUT = 3
"""Squares of each key that are never learned from; the error there shows whether the run overfits."""
HELD_SIDE = 32
MARGIN = 64
"""Pixels around such a square that the network sees with it."""
ROWS = 4
"""Frames on a contact sheet."""
PAIRS = 8
"""Frames whose carried paint is learned from."""
SURE = 0.9
"""How sure carried paint must be to be learned from."""


@dataclass(frozen=True, slots=True)
class KeyframeSplit:
    """The keys, the part of each that is held out, (1, H, W) bool, and unpainted frames."""

    keys: tuple[Key, ...]
    held_out: tuple[Tensor, ...]
    unpainted: tuple[UnpaintedFrame, ...]
    wanted: int | None = None
    guides: tuple[Guide, ...] = ()
    followed: FollowedShot = field(default_factory=FollowedShot)
    by_hand: bool = False
    """Whether the keys' brushwork is a hand's, which no network learns."""


def hold_out(keyframes: Keyframes, seed: int) -> KeyframeSplit:
    """Choose the part of each key that is held out."""
    generator = torch.Generator().manual_seed(seed)
    held = tuple(draw_held_out(key, generator) for key in keyframes.keys)
    return KeyframeSplit(
        keyframes.keys,
        held,
        keyframes.unpainted,
        keyframes.wanted,
        keyframes.guides,
        keyframes.followed,
        keyframes.by_hand,
    )


def task_for(split: KeyframeSplit, recipe: Recipe, output: Path, label: Label) -> TrainingTask:
    """The task of a run on keyframes; at every preview the weights so far become the style `output`.

    TrainingError where a crop does not fit into the frames.
    """
    require_room(min(split.keys[0].plate.shape[1:]), recipe)
    keys = exported_keys(split.keys, split.unpainted, carried=split.by_hand)
    settings = recipe if split.by_hand else replace(recipe, gram=0.0)
    pairs = cache(lambda: carried_pairs(split) if split.by_hand else ())

    def publish(trained: Trained) -> None:
        _write(trained, split, recipe, output, label, keys)

    return TrainingTask(
        net=lambda: new_network(recipe.generator, recipe.size, guides=planes_in(split.guides)),
        digest=digest(split.keys, split.unpainted),
        step=lambda net, critic, number, rng: step(
            net, critic, draw_crops(split, recipe, rng, pairs()), settings, number
        ),
        preview=lambda net, path: write_preview(net, split, path),
        critic=lambda: new_critic(recipe.adversarial_form),
        probe=lambda: probe_of(draw_crops(split, recipe, torch.Generator().manual_seed(0))),
        validate=(lambda net: held_out_error(net, split)) if any(held.any() for held in split.held_out) else None,
        publish=publish,
    )


def complete(
    trained: Trained, split: KeyframeSplit, recipe: Recipe, output: Path, label: Label, folder: Path
) -> tuple[str, ...]:
    """Make further keys for a trained style of a hand's keys, write it anew with them, and say how sure its frames are.

    The strip `keys.png` and `keys.json` go into the run's folder. Returns sentences for a person; none, and nothing is
    written, for keys whose brushwork a network learns.
    """
    keys = exported_keys(split.keys, split.unpainted, carried=True)
    if keys is None or not split.by_hand:
        return ()
    made = made_keys(trained.net, split.keys, split.followed, keys.facts.noise)
    keys = exported_keys(split.keys, split.unpainted, made, carried=True)
    _write(trained, split, recipe, output, label, keys)
    shares = shares_of([key.number for key in split.keys], made)
    write_report(folder, shares, made)
    return (
        f"the keys' own strokes are carried: {in_words(shares)}; {folder / REPORT} shows it",
        *contradictions(split.keys),
    )


def _write(
    trained: Trained, split: KeyframeSplit, recipe: Recipe, output: Path, label: Label, keys: Keys | None
) -> None:
    plates = list(seen_by_number(split).values())
    write_style(
        trained,
        recipe,
        output,
        label,
        pictures=len(split.keys),
        shown=plates[len(plates) // 2],
        keys=keys,
        guides=split.guides,
    )


def carried_pairs(split: KeyframeSplit) -> tuple[Key, ...]:
    """Frames with the keys' paint carried to them, where it is sure: at most `PAIRS`, spread over the shot."""
    numbers = [key.number for key in split.keys]
    none = [prepared(key, np.zeros((*key.plate.shape[1:], 3), np.float32)) for key in split.keys]
    by_number = {frame.number: frame for frame in split.followed.frames}
    pairs = []
    for number in spread(sorted(by_number), PAIRS):
        frame = by_number[number]
        paint, sure = carried_pair(frame, none, numbers)
        mask = torch.from_numpy(cv2.resize(sure, paint.shape[1::-1], interpolation=cv2.INTER_LINEAR) > SURE)[None]
        if mask.float().mean() > 0.1:
            stored = torch.from_numpy((paint * 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()
            pairs.append(Key(f"carried {number}", number, frame.picture, stored, mask, frame.guides))
    return tuple(pairs)


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


def draw_crops(split: KeyframeSplit, recipe: Recipe, generator: torch.Generator, pairs: Sequence[Key] = ()) -> Crops:
    """Random crops of the keys where there is paint; the loss mask leaves out what is held out.

    With `pairs` every other crop is of a frame to which paint was carried.
    """
    befores, afters, masks, guides = [], [], [], []
    for number in range(recipe.batch):
        if pairs and number % 2:
            key = pairs[int(torch.randint(len(pairs), (), generator=generator))]
            learned = key.loss_mask
        else:
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
