"""Frames by their numbers, from folders of pictures, movies, sequences and stills."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.frame import Frame
from impasto.core.media import FrameRange, ShotInfo, open_reader
from impasto.core.media.numbering import number_in, parse_numbered
from impasto.core.media.open import is_live, is_movie
from impasto.training.data.pictures import DamagedPictures, as_stored, no_note, picture_files, read_picture, seen_in

FRAMES = 48
"""Frames of a movie or sequence that a run learns from unless told otherwise, spread over it: what memory allows."""
SEQUENTIAL = 2000
"""Movies up to this many frames are read in one go, longer ones by seeking."""


@dataclass(frozen=True, slots=True)
class NumberedFrames:
    """Frames that have numbers: a movie (from 1), a sequence, or a folder whose pictures end in numbers."""

    path: str
    numbers: tuple[int, ...]
    files: tuple[Path, ...] | None
    """The picture of each number, for a folder."""

    def read(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """The frames of some of its numbers, ascending, one at a time."""
        if self.files is None:
            yield from read_frames(self.path, shot_info(self.path), numbers)
            return
        by_number = dict(zip(self.numbers, self.files, strict=True))
        for number in sorted(numbers):
            with open_reader(str(by_number[number])) as reader:
                yield next(iter(reader))

    def in_words(self) -> str:
        """\"120 frames (1-120) in 'plate.mov'\"."""
        return f"{len(self.numbers)} frames ({self.numbers[0]}-{self.numbers[-1]}) in '{self.path}'"


def is_shot(path: str) -> bool:
    """Whether a path looks like frames in an order: a movie, a live source, or a pattern for numbers."""
    return not os.path.isdir(path) and (is_movie(path) or is_live(path) or parse_numbered(path) is not None)


def numbered_frames(path: str, what: str) -> NumberedFrames:
    """A movie, a sequence or a folder by the numbers of its frames.

    Raises MediaError for what cannot be read, TrainingError for a live source or a name without a number.
    """
    if os.path.isdir(path):
        files = pictures_by_number(Path(path), what)
        if not files:
            raise TrainingError(f"expected numbered pictures in '{path}', found none; name them by their frames")
        return NumberedFrames(path, tuple(files), tuple(files.values()))
    info = shot_info(path)
    return NumberedFrames(path, tuple(range(info.first, info.first + (info.frame_count or 1))), None)


def pictures_by_number(folder: Path, what: str) -> dict[int, Path]:
    """Frame number -> picture of every picture in a folder, ascending.

    TrainingError where a name has no number, or two have the same.
    """
    found: dict[int, Path] = {}
    for path in picture_files(folder).values():
        number = number_in(path.name)
        if number is None:
            raise TrainingError(
                f"expected a {what} with the number of its frame at the end of its name, got '{path.name}'; "
                f"call it for example {path.stem}.0012{path.suffix}"
            )
        if number in found:
            raise TrainingError(
                f"expected one {what} for frame {number}, got '{found[number].name}' and '{path.name}'; remove one"
            )
        found[number] = path
    return dict(sorted(found.items()))


def shot_info(plates: str) -> ShotInfo:
    """The facts of a shot of known length; TrainingError for a camera or stream."""
    if is_live(plates):
        raise TrainingError(f"expected a movie or a sequence, got the live source '{plates}'; record it first")
    with open_reader(plates) as reader:
        info = reader.info
    if info.frame_count is None:
        raise TrainingError(f"expected a movie that says how long it is, '{plates}' does not; copy it to another file")
    return info


def read_frames(plates: str, shot: ShotInfo, numbers: Iterable[int]) -> Iterator[Frame]:
    """The frames of these numbers, ascending."""
    wanted = sorted(set(numbers))
    if shot.kind == "movie" and (shot.frame_count or 0) <= SEQUENTIAL:
        with open_reader(plates, frames=FrameRange(wanted[0], wanted[-1])) as reader:
            yield from (frame for frame in reader if frame.number in wanted)
        return
    for number in wanted:
        with open_reader(plates, frames=None if shot.kind == "still" else FrameRange(number, number)) as reader:
            yield next(iter(reader))


def spread(numbers: Iterable[int], count: int) -> list[int]:
    """At most `count` of these numbers, evenly spread, with the first and the last."""
    every = list(numbers)
    if len(every) <= count:
        return every
    return [every[round(index * (len(every) - 1) / (count - 1))] for index in range(count)]


def pictures_of(
    path: str, *, frames: int = FRAMES, input_space: str | None = None, on_note: Callable[[str], None] = no_note
) -> dict[str, Tensor]:
    """Every picture of a folder, or `frames` of a movie or sequence spread over it, as training stores them, by name.

    `input_space` names the colour space of float pictures. Damaged pictures of a folder are treated as
    `load_pairs` does. Raises TrainingError for a path that is none of these.
    """
    if not is_shot(path):
        damaged = DamagedPictures(on_note)
        files = picture_files(Path(path)).items()
        read = {stem: damaged.read(file.name, partial(read_picture, file, input_space)) for stem, file in files}
        damaged.settle()
        return {stem: picture for stem, picture in read.items() if picture is not None}
    shot = numbered_frames(path, "picture")
    return {
        f"{frame.number:05}": as_stored(seen_in(frame, input_space))
        for frame in shot.read(spread(shot.numbers, frames))
    }


def same_numbers(first: NumberedFrames, second: NumberedFrames) -> Sequence[int]:
    """The numbers by which two sources are matched; a folder may hold some frames of a shot.

    Raises TrainingError where frames have no counterpart.
    """
    ours, theirs = set(first.numbers), set(second.numbers)
    chosen = ours if first.files is not None and ours <= theirs else theirs
    if ours == theirs or (first.files is not None and ours <= theirs) or (second.files is not None and theirs <= ours):
        return sorted(chosen)
    if len(ours) != len(theirs):
        raise TrainingError(
            f"expected before and after of the same frames, got {first.in_words()} and {second.in_words()}; "
            "cut one to the other"
        )
    raise TrainingError(
        f"expected before and after with the same frame numbers, got {first.in_words()} and {second.in_words()}; "
        "renumber one of them (movies count from 1)"
    )
