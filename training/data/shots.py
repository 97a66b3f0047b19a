"""What a run learns from, wherever it is: folders of pictures, movies, sequences and stills."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.frame import Frame
from impasto.core.media import open_reader
from impasto.core.media.numbering import parse_numbered
from impasto.core.media.open import is_live, is_movie
from impasto.training.data.keyframes import facts_of, numbered, read_frames, spread
from impasto.training.data.pictures import as_stored, picture_files, read_picture, seen_in

FRAMES = 48
"""Frames of a movie or sequence that a run learns from unless told otherwise, spread over it: what memory allows."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """Frames that bear numbers: a movie (from 1), a sequence, or a folder whose pictures end in numbers."""

    path: str
    numbers: tuple[int, ...]
    files: tuple[Path, ...] | None
    """The picture of each number, for a folder."""

    def read(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """The frames of some of its numbers, ascending, one at a time."""
        if self.files is None:
            yield from read_frames(self.path, facts_of(self.path), numbers)
            return
        by_number = dict(zip(self.numbers, self.files, strict=True))
        for number in sorted(numbers):
            with open_reader(str(by_number[number])) as reader:
                yield next(iter(reader))

    def said(self) -> str:
        """\"120 frames (1-120) in 'plate.mov'\"."""
        return f"{len(self.numbers)} frames ({self.numbers[0]}-{self.numbers[-1]}) in '{self.path}'"


def is_shot(path: str) -> bool:
    """Whether a path means frames in an order, by its looks: a movie, a live source, or a pattern for numbers."""
    return not os.path.isdir(path) and (is_movie(path) or is_live(path) or parse_numbered(path) is not None)


def numbered_frames(path: str, what: str) -> Numbered:
    """A movie, a sequence or a folder by the numbers of its frames.

    Raises MediaError for what cannot be read, TrainingError for a live source or a name without a number.
    """
    if os.path.isdir(path):
        files = numbered(Path(path), what)
        if not files:
            raise TrainingError(f"expected numbered pictures in '{path}', found none; name them by their frames")
        return Numbered(path, tuple(files), tuple(files.values()))
    info = facts_of(path)
    return Numbered(path, tuple(range(info.first, info.first + (info.frame_count or 1))), None)


def pictures_of(path: str, *, frames: int = FRAMES, input_space: str | None = None) -> dict[str, Tensor]:
    """Every picture of a folder, or `frames` of a movie or sequence spread over it, as training keeps them, by name.

    `input_space` names the colour space of float pictures. Raises TrainingError for a path that is none of these.
    """
    if not is_shot(path):
        return {stem: read_picture(file, input_space) for stem, file in picture_files(Path(path)).items()}
    shot = numbered_frames(path, "picture")
    return {
        f"{frame.number:05}": as_stored(seen_in(frame, input_space))
        for frame in shot.read(spread(shot.numbers, frames))
    }


def same_numbers(first: Numbered, second: Numbered) -> Sequence[int]:
    """The numbers that two sources are matched by; a folder may hold some frames of a shot.

    Raises TrainingError where frames have no counterpart.
    """
    ours, theirs = set(first.numbers), set(second.numbers)
    chosen = ours if first.files is not None and ours <= theirs else theirs
    if ours == theirs or (first.files is not None and ours <= theirs) or (second.files is not None and theirs <= ours):
        return sorted(chosen)
    if len(ours) != len(theirs):
        raise TrainingError(
            f"expected before and after of the same frames, got {first.said()} and {second.said()}; "
            "cut one to the other"
        )
    raise TrainingError(
        f"expected before and after with the same frame numbers, got {first.said()} and {second.said()}; "
        "renumber one of them (movies count from 1)"
    )
