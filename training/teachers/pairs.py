"""Plates and their painted counterparts, made once and kept as two folders of PNGs.

A painter sets strokes, washes or lines on the plate in the painting's colours; where wanted, a patch pass
then lays the painting's real paint into them. The target is a blend of the two: the painter's share can be
learned exactly, the paint's share gives it palette and surface.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import OpenImageIO as oiio
import torch

from impasto.core.errors import TrainingError, UnknownName, UsageError
from impasto.core.frame import Samples
from impasto.training.data.plates import load_picture
from impasto.training.teachers.manners import MANNERS, Manner
from impasto.training.teachers.palette import Palette, fit_palette
from impasto.training.teachers.patches import PatchLook, put_paint

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SMALLEST_PAINTING = 128
"""Shorter side of a painting, in pixels, below which it holds no strokes to learn from."""
TEACHER = "teacher.json"
"""The file in which a folder of pairs says who painted them."""
POOL_SIDE = 320
"""Long side of the plates from which the palette is fitted."""


@dataclass(frozen=True, slots=True)
class TeacherLook:
    """Everything that decides how a teacher paints."""

    manner: str = "oil"
    patches: PatchLook = field(default_factory=lambda: PatchLook(evenness=0.04))
    paint_share: float | None = None
    """How much of the target is real paint: 0 the painter alone, 1 the patch pass alone; None: the manner's own."""
    plate_sides: tuple[int, ...] = (800, 480)
    """Each plate is painted at these long sides, so that forms of every size are seen."""
    painting_side: int = 700
    stops: float = 1.0
    """Every other plate is made brighter or darker by up to this much before it is painted, so that the
    style answers a dim plate as its painter would."""
    input_space: str | None = None
    """The space in which float plates were read: pairs of another are other pairs."""

    def __post_init__(self) -> None:
        if self.manner not in MANNERS:
            raise UnknownName("manner", self.manner, MANNERS)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A manner with its paintings and its one palette."""

    manner: Manner
    palette: Palette
    paintings: tuple[torch.Tensor, ...]
    patches: PatchLook
    paint_share: float

    def paint(self, plate: Samples) -> Samples:
        """The target for one plate; pictures (H, W, 3) float32, working space, result in [0, 1]."""
        painted = self.manner.paint(plate, self.palette)
        if self.paint_share == 0:
            return painted
        laid = put_paint(_to_tensor(painted), self.paintings, self.patches)[0].permute(1, 2, 0).numpy()
        return np.asarray((1 - self.paint_share) * painted + self.paint_share * laid, np.float32)


def fit_teacher(look: TeacherLook, paintings: Sequence[Path], plates: Sequence[Path]) -> Teacher:
    """The teacher of a style: its palette is fitted once, on all plates.

    Raises UsageError where the manner wants a painting and none is given, or the other way round, and
    TrainingError for what is no picture or too small to hold paint.
    """
    manner = MANNERS[look.manner]
    share = manner.paint_share if look.paint_share is None else look.paint_share
    if manner.needs_painting and not paintings:
        raise UsageError(f"expected a painting for the manner '{look.manner}', got none; name its picture")
    if paintings and not manner.needs_painting and not share:
        raise UsageError(
            f"expected no painting for the manner '{look.manner}', which has colours of its own, got '{paintings[0]}'; "
            "leave it out, or give a paint share above 0"
        )
    if share and not paintings:
        raise UsageError(f"expected a painting for a paint share of {share:g}, got none; name its picture")
    painted = []
    for path in paintings:
        picture = load_picture(path, look.painting_side)
        if min(picture.shape[:2]) < SMALLEST_PAINTING:
            raise TrainingError(
                f"expected a painting of at least {SMALLEST_PAINTING} pixels on each side, '{path}' has "
                f"{picture.shape[1]}x{picture.shape[0]}; find a larger picture of it"
            )
        painted.append(picture)
    pool = [load_picture(path, POOL_SIDE) for path in plates]
    palette = fit_palette(pool, painted or pool, tone=manner.tone, hue=manner.hue)
    return Teacher(manner, palette, tuple(_to_tensor(picture) for picture in painted), look.patches, share)


def make_pairs(
    plates: Sequence[Path],
    paintings: Sequence[Path],
    into: Path,
    look: TeacherLook,
    *,
    on_pair: Callable[[int, int, Path], None] = lambda done, of, path: None,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Write `into`/before/NAME.png and `into`/after/NAME.png (sRGB) for every plate; those that exist stay.

    They have 8 bits, or 16 where the plate has more than 8.

    A plate that is larger than several of the look's sides gives as many pairs. `share` (k, n) does every
    n-th pair from the k-th on, so that n processes can divide the work; the palette is fitted on all plates in
    any case. Raises what `fit_teacher` raises, and TrainingError for a folder whose pictures another teacher painted.
    """
    before, after = into / "before", into / "after"
    for folder in (before, after):
        folder.mkdir(parents=True, exist_ok=True)
    teacher = fit_teacher(look, paintings, plates)
    _note_teacher(into, look, paintings)
    mine = wanted_pairs(plates, look)[share[0] :: share[1]]
    for done, (path, side) in enumerate(mine, 1):
        name = f"{pair_name(path, side, look)}.png"
        if not (after / name).exists():
            plate = lit(load_picture(path, side), _stops(name, look.stops))
            deep = is_deep(path)
            save_picture(before / name, plate, deep=deep)
            save_picture(after / name, teacher.paint(plate), deep=deep)
        on_pair(done, len(mine), path)


def wanted_pairs(plates: Sequence[Path], look: TeacherLook) -> list[tuple[Path, int]]:
    """Each plate with every long side that it is painted at: the first of the look's, and those it is larger than."""
    first, *others = look.plate_sides
    return [
        (path, side) for path in plates for side in (first, *(other for other in others if long_side(path) > other))
    ]


def pair_name(path: Path, side: int, look: TeacherLook) -> str:
    """The stem of both pictures of a plate at this long side."""
    return path.stem if side == look.plate_sides[0] else f"{path.stem}.{side}"


def long_side(path: Path) -> int:
    """Of a picture, from its header; 0 for what is none, which is said where it is read."""
    opened = oiio.ImageInput.open(str(path))
    return max(opened.spec().width, opened.spec().height) if opened else 0


def is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits a sample, from its header."""
    opened = oiio.ImageInput.open(str(path))
    return opened is not None and opened.spec().format != oiio.TypeUInt8


def _note_teacher(into: Path, look: TeacherLook, paintings: Sequence[Path]) -> None:
    """Write down who paints in this folder, or make sure that it is who painted there before."""
    facts = said_of(look) | {"paintings": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paintings]}
    note_facts(into, json.dumps(facts, sort_keys=True, indent=1))


def said_of(look: DataclassInstance) -> dict[str, Any]:
    """The settings by name; a space is said only where one was given, as in folders from before there were spaces."""
    facts = dataclasses.asdict(look)
    if facts["input_space"] is None:
        del facts["input_space"]
    return facts


def note_facts(into: Path, told: str) -> None:
    """Write into a folder of pairs how they are made, or make sure that those in it were made so."""
    note = into / TEACHER
    if note.exists() and note.read_text(encoding="utf-8") != told:
        raise TrainingError(
            f"expected pictures of the same teacher in '{into}', others are there; remove that folder or name another"
        )
    note.write_text(told, encoding="utf-8")


def lit(plate: Samples, stops: float) -> Samples:
    """A plate (H, W, 3), working space, as it would be at another exposure: in light, held at 1, in working space."""
    return plate if stops == 0 else np.asarray(np.minimum(plate * np.float32(2 ** (stops / 2.2)), 1), np.float32)


def _stops(name: str, most: float) -> float:
    """The exposure of a pair: its name's own, so that a run which goes on makes the same pictures."""
    drawn = hashlib.sha256(name.encode()).digest()
    return 0.0 if drawn[0] % 2 else most * (drawn[1] / 127.5 - 1)


def _to_tensor(picture: Samples) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def save_picture(path: Path, picture: Samples, *, deep: bool = False) -> None:
    """Write a working picture (H, W, 3), held in [0, 1], as a PNG of 8 bits, or 16; it is there whole or not at all."""
    most, samples = (65535, np.uint16) if deep else (255, np.uint8)
    stored = np.rint(np.clip(picture, 0, 1) * most).astype(samples)
    partial = path.with_name(f".{path.stem}.part.png")
    cv2.imwrite(str(partial), np.ascontiguousarray(stored[..., ::-1]))
    partial.replace(path)
