"""Plates and their painted counterparts, made once and kept as two folders of PNGs.

A manner paints the plate in strokes, washes or lines, in the colours of the painting. If wanted, a patch pass then puts
pieces of the painting itself into the result. The target is a blend of the two: a network can learn the manner's share
exactly, and the share of paint adds palette and surface.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from impasto.core.errors import TrainingError, UnknownName, UsageError
from impasto.core.frame import Samples
from impasto.training.data.teacher_plates import load_picture
from impasto.training.teachers.manners import MANNERS, Manner
from impasto.training.teachers.pair_folder import (
    MadePair,
    OnPair,
    PlannedPair,
    is_deep,
    settings_by_name,
    sides_of,
    write_pairs,
)
from impasto.training.teachers.palette import Palette, fit_palette
from impasto.training.teachers.patches import PatchSettings, put_paint

SMALLEST_PAINTING = 128
"""In pixels. A painting with a shorter side shows no strokes to learn from."""
POOL_SIDE = 320
"""Long side of the plates that the palette is fitted to."""


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """Everything that decides how a teacher paints."""

    manner: str = "oil"
    patches: PatchSettings = field(default_factory=lambda: PatchSettings(evenness=0.04))
    paint_share: float | None = None
    """Share of real paint in the target: 0 is the manner alone, 1 the patch pass alone; None: the manner's default."""
    plate_sides: tuple[int, ...] = (800, 480)
    """Each plate is painted at these long sides, so that forms of every size are seen."""
    painting_side: int = 700
    stops: float = 1.0
    """Every other plate is made brighter or darker by up to this much before it is painted, so that the style paints
    dim plates as the teacher does."""
    input_space: str | None = None
    """The space in which float plates were read. Pairs of another space are other pairs."""

    def __post_init__(self) -> None:
        if self.manner not in MANNERS:
            raise UnknownName("manner", self.manner, MANNERS)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A manner with its paintings and its one palette."""

    manner: Manner
    palette: Palette
    paintings: tuple[torch.Tensor, ...]
    patches: PatchSettings
    paint_share: float

    def paint(self, plate: Samples) -> Samples:
        """The target for one plate; pictures (H, W, 3) float32, working space, result in [0, 1]."""
        painted = self.manner.paint(plate, self.palette)
        if self.paint_share == 0:
            return painted
        laid = put_paint(_to_tensor(painted), self.paintings, self.patches)[0].permute(1, 2, 0).numpy()
        return np.asarray((1 - self.paint_share) * painted + self.paint_share * laid, np.float32)


def fit_teacher(settings: TeacherSettings, paintings: Sequence[Path], plates: Sequence[Path]) -> Teacher:
    """The teacher of a style. Its palette is fitted once, to all plates.

    Raises UsageError if the manner needs a painting and none is given, or the reverse. Raises TrainingError for a file
    that is no picture, and for one that is too small.
    """
    manner = MANNERS[settings.manner]
    share = manner.paint_share if settings.paint_share is None else settings.paint_share
    if manner.needs_painting and not paintings:
        raise UsageError(f"expected a painting for the manner '{settings.manner}', got none; name its picture")
    if paintings and not manner.needs_painting and not share:
        raise UsageError(
            f"expected no painting for the manner '{settings.manner}', which has colours of its own, got "
            f"'{paintings[0]}'; leave it out, or give a paint share above 0"
        )
    if share and not paintings:
        raise UsageError(f"expected a painting for a paint share of {share:g}, got none; name its picture")
    painted = []
    for path in paintings:
        picture = load_picture(path, settings.painting_side)
        if min(picture.shape[:2]) < SMALLEST_PAINTING:
            raise TrainingError(
                f"expected a painting of at least {SMALLEST_PAINTING} pixels on each side, '{path}' has "
                f"{picture.shape[1]}x{picture.shape[0]}; find a larger picture of it"
            )
        painted.append(picture)
    pool = [load_picture(path, POOL_SIDE) for path in plates]
    palette = fit_palette(pool, painted or pool, tone=manner.tone, hue=manner.hue)
    return Teacher(manner, palette, tuple(_to_tensor(picture) for picture in painted), settings.patches, share)


def make_pairs(
    plates: Sequence[Path],
    paintings: Sequence[Path],
    into: Path,
    settings: TeacherSettings,
    *,
    on_pair: OnPair = lambda done, of, path: None,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Make the pairs of all plates in a folder, see `write_pairs`; 16 bits where the plate has more than 8.

    A plate gives one pair for each of the sides that it is larger than. `share` (k, n) makes every n-th pair from the
    k-th on, so that n processes can divide the work; the palette is fitted on all plates in any case. Raises what
    `fit_teacher` raises, and TrainingError for a folder with the pictures of another teacher.
    """
    teacher = fit_teacher(settings, paintings, plates)

    def make(pair: PlannedPair) -> MadePair:
        stops = _stops(f"{pair.name}.png", settings.stops)
        plate = expose(load_picture(pair.plate, pair.side), stops)
        return MadePair(plate, teacher.paint(plate), is_deep(pair.plate))

    facts = settings_by_name(settings)
    facts["paintings"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paintings]
    write_pairs(into, facts, planned_pairs(plates, settings)[share[0] :: share[1]], make, on_pair)


def planned_pairs(plates: Sequence[Path], settings: TeacherSettings) -> list[PlannedPair]:
    """A pair for every plate and every long side at which it is painted; only further sides appear in its name."""
    first = settings.plate_sides[0]
    return [
        PlannedPair(path, side, path.stem if side == first else f"{path.stem}.{side}")
        for path in plates
        for side in sides_of(path, settings.plate_sides)
    ]


def expose(plate: Samples, stops: float) -> Samples:
    """A plate (H, W, 3), working space, as it would be at another exposure: in light, held at 1, in working space."""
    return plate if stops == 0 else np.asarray(np.minimum(plate * np.float32(2 ** (stops / 2.2)), 1), np.float32)


def _stops(name: str, most: float) -> float:
    """The exposure of a pair, drawn from its name, so that a resumed run makes the same pictures."""
    drawn = hashlib.sha256(name.encode()).digest()
    return 0.0 if drawn[0] % 2 else most * (drawn[1] / 127.5 - 1)


def _to_tensor(picture: Samples) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
