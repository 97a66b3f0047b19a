"""Damaged and clean pictures of the same plates, made once and kept as two folders of PNGs for `train enhance`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import TrainingError, UsageError
from impasto.training.data.plates import load_picture
from impasto.training.recipe import Recipe
from impasto.training.teachers.degrade import chance_of, degraded, drawn_damage
from impasto.training.teachers.pairs import long_side, note_facts, said_of, save_picture

RECIPE = Recipe(
    minutes=60.0,
    batch=12,
    crop=80,
    rim=8,
    decay_from=0.4,
    texture=0.0,
    adversarial=0.002,
    critic_from=20_000,
    consistency=0.05,
    consistency_every=8,
    noise=0.0,
    gain=0.0,
    exposure=0.0,
    compression=0.0,
    mixed_precision=False,
)
"""Plates are near the target as it is, so all of this is for the last decibels: float32, because bfloat16 rounds a gain
of 1 to 1/256; many small crops with a narrow rim, because damage is local; no texture loss, for which the plate's noise
is texture; a critic that comes late and keeps faces from becoming plastic. A plate that is moved by part of a pixel is
a blurred one, so consistency weighs little. No further noise, and no gain: a change of brightness is not undone."""
SMALLEST_SIDE = 128


@dataclass(frozen=True, slots=True)
class DamageLook:
    """How many pictures are made of a plate, and how large."""

    sides: tuple[int, ...] = (640, 400)
    """Long sides at which each plate is used: made smaller, whatever a plate suffered itself is gone."""
    variants: int = 3
    """Times that a plate is damaged at each size, every time otherwise."""
    input_space: str | None = None
    """The space in which float plates were read: pairs of another are other pairs."""

    def __post_init__(self) -> None:
        if self.variants < 1:
            raise UsageError(f"expected at least one variant of a plate, got {self.variants}; give --variants 3")


def wanted_damages(plates: Sequence[Path], look: DamageLook) -> list[tuple[Path, int, str]]:
    """Each plate with a side and the name of a pair: the first of the look's sides, and those it is larger than."""
    first, *others = look.sides
    return [
        (path, side, f"{path.stem}.{side}.{variant}")
        for path in plates
        for side in (first, *(other for other in others if long_side(path) > other))
        for variant in range(look.variants)
    ]


def make_damaged_pairs(
    plates: Sequence[Path],
    into: Path,
    look: DamageLook,
    *,
    on_pair: Callable[[int, int, Path], None] = lambda done, of, path: None,
) -> None:
    """Write `into`/before/NAME.png (damaged) and `into`/after/NAME.png (clean), 8-bit sRGB; those that exist stay.

    What a pair suffers is drawn from its name. Raises TrainingError for what is no picture or too small, and for
    a folder of pairs that were made otherwise.
    """
    before, after = into / "before", into / "after"
    for folder in (before, after):
        folder.mkdir(parents=True, exist_ok=True)
    note_facts(into, json.dumps({"damage": said_of(look)}, sort_keys=True, indent=1))
    wanted = wanted_damages(plates, look)
    for done, (path, side, name) in enumerate(wanted, 1):
        if not (after / f"{name}.png").exists():
            plate = load_picture(path, side)
            if min(plate.shape[:2]) < SMALLEST_SIDE:
                raise TrainingError(
                    f"expected plates of at least {SMALLEST_SIDE} pixels on each side, '{path}' has "
                    f"{plate.shape[1]}x{plate.shape[0]}; leave it out"
                )
            save_picture(before / f"{name}.png", degraded(plate, drawn_damage(name), chance_of(f"{name} noise")))
            save_picture(after / f"{name}.png", plate)
        on_pair(done, len(wanted), path)
