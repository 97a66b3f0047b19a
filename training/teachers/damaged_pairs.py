"""Damaged and clean pictures of the same plates, made once and kept as two folders of PNGs for `train enhance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import TrainingError, UsageError
from impasto.training.data.plates import load_picture
from impasto.training.recipe import Recipe
from impasto.training.teachers.degrade import chance_of, degraded, drawn_damage
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
"""Plates are near the target as it is, so all of this is for the last decibels: float32, because bfloat16 rounds a gain
of 1 to 1/256; many small crops with a narrow rim, because damage is local; no texture loss, for which the plate's noise
is texture; a critic that comes late and keeps faces from becoming plastic. A plate that is moved by part of a pixel is
a blurred one, so consistency weighs little. No further noise, and no gain: a change of brightness is not undone."""
SMALLEST_SIDE = 128


@dataclass(frozen=True, slots=True)
class DamageSettings:
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

    The name of a pair draws its damage. Raises TrainingError for what is no picture or too small, and for a folder of
    pairs that were made otherwise.
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
