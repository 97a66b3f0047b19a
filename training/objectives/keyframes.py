"""Painted frames of one shot: the generator learns from patches of the keys to paint all its other frames.

The losses of a step are those of before/after pairs; what is of its own here is what is drawn, what
is held out, and what a person is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.generators.unet import UNet
from impasto.core.guides import Guide, planes_in
from impasto.training.data.exported_keys import carried_keys
from impasto.training.data.guides import with_guides
from impasto.training.data.keyframes import Key, Keyframes, Plate, as_samples, digest, spread
from impasto.training.data.pairs import Crops, draw_judged, draw_place
from impasto.training.discriminators import new_critic
from impasto.training.export import Label, write_style
from impasto.training.loop import Step, Task, Trained, require_room
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.networks import new_network
from impasto.training.objectives.pairs import probe_of
from impasto.training.objectives.pairs import step as pairs_step
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe

RECIPE = Recipe(
    minutes=5.0,
    batch=5,
    crop=96,
    learning_rate=1.5e-3,
    texture=0.0,
    adversarial=0.005,
    gain=0.02,
    exposure=0.0,
    compression=0.0,
    average=0.99,
)
"""For minutes on a CPU, where steps are few: no texture loss, since it doubles the time of a step."""

HELD_OUT = 3
"""Squares of each key that are never learned from; the error there says whether the rest is learned by heart."""
HELD_SIDE = 32
MARGIN = 64
"""Pixels around such a square that the network is shown with it."""
ROWS = 4
"""Frames on a contact sheet."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The keys, what of each is held out, (1, H, W) bool, and unpainted frames, one of them wanted as a key."""

    keys: tuple[Key, ...]
    held_out: tuple[Tensor, ...]
    unpainted: tuple[Plate, ...]
    wanted: int | None = None
    guides: tuple[Guide, ...] = ()


def prepare(keyframes: Keyframes, seed: int) -> Lesson:
    """Choose what is held out of each key."""
    generator = torch.Generator().manual_seed(seed)
    held = tuple(draw_held_out(key, generator) for key in keyframes.keys)
    return Lesson(keyframes.keys, held, keyframes.unpainted, keyframes.wanted, keyframes.guides)


def task_for(lesson: Lesson, recipe: Recipe, output: Path, label: Label) -> Task:
    """What a run on keyframes does; whenever it shows itself, the weights so far become the style `output`.

    TrainingError where a crop does not fit into the frames.
    """
    require_room(min(lesson.keys[0].plate.shape[1:]), recipe)
    plates = list(seen_by_number(lesson).values())
    shown = plates[len(plates) // 2]
    carried = carried_keys(lesson.keys, lesson.unpainted)

    def publish(trained: Trained) -> None:
        write_style(
            trained,
            recipe,
            output,
            label,
            pictures=len(lesson.keys),
            shown=shown,
            keys=carried,
            guides=lesson.guides,
        )

    return Task(
        net=lambda: new_network(recipe.generator, recipe.size, guides=planes_in(lesson.guides)),
        digest=digest(lesson.keys, lesson.unpainted),
        step=lambda net, critic, number, drawn: step(net, critic, lesson, recipe, number, drawn),
        show=lambda net, path: show(net, lesson, path),
        critic=lambda: new_critic(recipe.contest),
        probe=lambda: probe_of(draw_crops(lesson, recipe, torch.Generator().manual_seed(0))),
        judge=(lambda net: judge(net, lesson)) if any(held.any() for held in lesson.held_out) else None,
        publish=publish,
    )


def draw_held_out(key: Key, generator: torch.Generator) -> Tensor:
    """Squares of ordinary texture, (1, H, W) bool; none of a key that is too small to spare any.

    Never the busiest places: a face or a hand may be the only one of its kind.
    """
    held = torch.zeros_like(key.judged)
    if min(held.shape[1:]) < 6 * HELD_SIDE:
        return held
    slopes = as_samples(key.plate).diff(dim=2).abs().mean(0)[None, None]
    busy = F.avg_pool2d(F.pad(slopes, (0, 1)), HELD_SIDE)[0, 0]
    whole = F.avg_pool2d(key.judged[None].float(), HELD_SIDE)[0, 0] == 1
    if not whole.any():
        return held
    ordinary = torch.nonzero(whole & (busy <= busy[whole].median()))
    for index in torch.randperm(len(ordinary), generator=generator)[:HELD_OUT]:
        top, left = (HELD_SIDE * int(cell) for cell in ordinary[index])
        held[:, top : top + HELD_SIDE, left : left + HELD_SIDE] = True
    return held


def step(net: UNet, critic: nn.Module, lesson: Lesson, recipe: Recipe, number: int, drawn: torch.Generator) -> Step:
    """Losses of one batch of crops drawn from the keys; see `impasto.training.objectives.pairs.step`."""
    device = next(net.parameters()).device
    crops = draw_crops(lesson, recipe, drawn).to(device)
    return pairs_step(net, critic, crops, recipe, number)


def draw_crops(lesson: Lesson, recipe: Recipe, generator: torch.Generator) -> Crops:
    """Random crops of the keys at places where there is paint; what is held out is not judged."""
    befores, afters, judged, guides = [], [], [], []
    for _ in range(recipe.batch):
        index = int(torch.randint(len(lesson.keys), (), generator=generator))
        key = lesson.keys[index]
        learned = key.judged & ~lesson.held_out[index]
        place = draw_place(learned, recipe.crop, recipe.rim, generator)
        place, seen = draw_judged(learned, place, recipe.crop, recipe.rim, generator)
        befores.append(as_samples(key.plate[:, place.rows, place.columns]))
        afters.append(as_samples(key.paint[:, place.rows, place.columns]))
        judged.append(seen)
        if key.guides is not None:
            guides.append(key.guides[:, place.rows, place.columns].float())
    guiding = torch.stack(guides) if guides else None
    return Crops(torch.stack(befores), torch.stack(afters), torch.stack(judged), guides=guiding)


@torch.no_grad()
def judge(net: UNet, lesson: Lesson) -> float:
    """Mean multi-scale L1 on what is held out of the keys, of which there must be some."""
    device = next(net.parameters()).device
    errors = []
    for key, held in zip(lesson.keys, lesson.held_out, strict=True):
        for row, column in torch.nonzero(held[0, ::HELD_SIDE, ::HELD_SIDE]).tolist():
            top, left = max(0, row * HELD_SIDE - MARGIN), max(0, column * HELD_SIDE - MARGIN)
            around = (slice(None), slice(top, top + 2 * MARGIN + HELD_SIDE), slice(left, left + 2 * MARGIN + HELD_SIDE))
            inside = (
                slice(None),
                slice(row * HELD_SIDE - top, (row + 1) * HELD_SIDE - top),
                slice(column * HELD_SIDE - left, (column + 1) * HELD_SIDE - left),
            )
            guides = None if key.guides is None else key.guides[around]
            result = stylize(net, with_guides(as_samples(key.plate[around]), guides).to(device))[inside]
            target = as_samples(key.paint[around])[inside].to(device)
            errors.append(float(multi_scale_l1(result[None], target[None])))
    return sum(errors) / len(errors)


def show(net: UNet, lesson: Lesson, path: Path) -> None:
    """A contact sheet of plate and result on unpainted frames, the least known among them, or else on the keys."""
    device = next(net.parameters()).device
    plates = seen_by_number(lesson)
    shown = spread(plates, ROWS)
    if lesson.wanted is not None and lesson.wanted not in shown:
        shown = sorted([*spread((number for number in plates if number != lesson.wanted), ROWS - 1), lesson.wanted])
    rows: list[tuple[Tensor, ...]] = []
    for number in shown:
        rows.append((plates[number][:3], stylize(net, plates[number].to(device)).cpu()))
    write_sheet(path, rows)


def seen_by_number(lesson: Lesson) -> dict[int, Tensor]:
    """What the network is shown of the unpainted frames, or else of the keys: (3 + planes, H, W) float32."""
    plates = {plate.number: (plate.picture, plate.guides) for plate in lesson.unpainted}
    plates = plates or {key.number: (key.plate, key.guides) for key in lesson.keys}
    return {number: with_guides(as_samples(picture), guides) for number, (picture, guides) in plates.items()}
