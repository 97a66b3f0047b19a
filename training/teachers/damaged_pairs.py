"""Damaged and clean pictures of the same plates, made once and kept as two folders of PNGs for `train enhance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import TrainingError, UsageError
from impasto.training.data.teacher_plates import load_picture
from impasto.training.recipe import Recipe
from impasto.training.teachers.degradation import chance_of, degraded, drawn_damage
from impasto.training.teachers.pair_folder import MadePair, OnPair, PlannedPair, settings_by_name, sides_of, write_pairs

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
    mixed_precision=False,
)
"""Plates are near the target already, so every setting is for the last decibels. float32, because bfloat16 rounds a
gain of 1 to 1/256. Many small crops with a narrow rim, because damage is local. No texture loss, because it would take
the plate's noise for texture. A critic that starts late, which keeps faces from looking like plastic. Little weight on
consistency, because a plate that is shifted by part of a pixel is blurred. No further noise, and no gain, because a
change of brightness is not damage to mend."""
SMALLEST_SIDE = 128


@dataclass(frozen=True, slots=True)
class DamageSettings:
    """How many pictures are made of a plate, and how large."""

    sides: tuple[int, ...] = (640, 400)
    """Long sides at which each plate is used. Scaling it down removes damage that the plate itself has."""
    variants: int = 3
    """How many times a plate is damaged at each size, each time in another way."""
    input_space: str | None = None
    """The space in which float plates were read. Pairs of another space are other pairs."""

    def __post_init__(self) -> None:
        if self.variants < 1:
            raise UsageError(f"expected at least one variant of a plate, got {self.variants}; give --variants 3")


def planned_damages(plates: Sequence[Path], settings: DamageSettings) -> list[PlannedPair]:
    """A pair for every plate, every long side at which it is used, and every variant."""
    return [
        PlannedPair(path, side, f"{path.stem}.{side}.{variant}")
        for path in plates
        for side in sides_of(path, settings.sides)
        for variant in range(settings.variants)
    ]


def make_damaged_pairs(
    plates: Sequence[Path],
    into: Path,
    settings: DamageSettings,
    *,
    on_pair: OnPair = lambda done, of, path: None,
) -> None:
    """Make the pairs of all plates in a folder, damaged before clean, see `write_pairs`; 8 bits.

    The damage of a pair is drawn from its name. Raises TrainingError for a file that is no picture, for a picture that
    is too small, and for a folder with pairs that were made in another way.
    """

    def make(pair: PlannedPair) -> MadePair:
        plate = load_picture(pair.plate, pair.side)
        if min(plate.shape[:2]) < SMALLEST_SIDE:
            raise TrainingError(
                f"expected plates of at least {SMALLEST_SIDE} pixels on each side, '{pair.plate}' has "
                f"{plate.shape[1]}x{plate.shape[0]}; leave it out"
            )
        return MadePair(degraded(plate, drawn_damage(pair.name), chance_of(f"{pair.name} noise")), plate)

    facts = {"damage": settings_by_name(settings)}
    write_pairs(into, facts, planned_damages(plates, settings), make, on_pair)
