"""A folder of pairs that a teacher makes: PNGs in `before` and `after`, and a file that says how they are made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import OpenImageIO as oiio

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.training.data.teacher_plates import save_picture

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NOTE = "teacher.json"
"""The file in a folder of pairs that says how they are made."""

OnPair: TypeAlias = Callable[[int, int, Path], None]
"""Called after every pair with the number of pairs that exist, the number of all, and the plate."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedPair:
    """A pair to make: its plate, the plate's long side in pixels, and the stem of both pictures."""

    plate: Path
    side: int
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class MadePair:
    """Both pictures of a pair, (H, W, 3) float32, working space; `deep` stores them with 16 bits instead of 8."""

    before: Samples
    after: Samples
    deep: bool = False


def sides_of(plate: Path, sides: Sequence[int]) -> list[int]:
    """The long sides at which a plate is used: the first, and of the others those that are smaller than the plate."""
    first, *others = sides
    longest = long_side(plate)
    return [first, *(side for side in others if longest > side)]


def write_pairs(
    into: Path,
    facts: dict[str, Any],
    planned: Sequence[PlannedPair],
    make: Callable[[PlannedPair], MadePair],
    on_pair: OnPair,
) -> None:
    """Write `into`/before/NAME.png and `into`/after/NAME.png (sRGB) for every pair that does not exist yet.

    `facts` say how the pairs are made. Raises TrainingError for a folder with pairs that were made in another way.
    """
    before, after = into / "before", into / "after"
    for folder in (before, after):
        folder.mkdir(parents=True, exist_ok=True)
    _note_facts(into, json.dumps(facts, sort_keys=True, indent=1))
    for done, pair in enumerate(planned, 1):
        name = f"{pair.name}.png"
        if not (after / name).exists():
            made = make(pair)
            save_picture(before / name, made.before, deep=made.deep)
            save_picture(after / name, made.after, deep=made.deep)
        on_pair(done, len(planned), pair.plate)


def settings_by_name(settings: DataclassInstance) -> dict[str, Any]:
    """The settings by name. `input_space` is left out if it is not set, so that older folders still fit."""
    facts = dataclasses.asdict(settings)
    if facts["input_space"] is None:
        del facts["input_space"]
    return facts


def long_side(path: Path) -> int:
    """The long side of a picture, from its header; 0 for a file that is no picture, because reading it raises later."""
    opened = oiio.ImageInput.open(str(path))
    return max(opened.spec().width, opened.spec().height) if opened else 0


def is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits a sample, from its header."""
    opened = oiio.ImageInput.open(str(path))
    return opened is not None and opened.spec().format != oiio.TypeUInt8


def _note_facts(into: Path, facts: str) -> None:
    """Write how the pairs in a folder are made, or check that the pairs in it were made in this way."""
    note = into / NOTE
    if note.exists() and note.read_text(encoding="utf-8") != facts:
        raise TrainingError(
            f"expected pictures of the same teacher in '{into}', others are there; remove that folder or name another"
        )
    note.write_text(facts, encoding="utf-8")
