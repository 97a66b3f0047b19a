"""Plates of which pairs are made: where they are, and how the making is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from impasto.core.errors import TrainingError
from impasto.hosts.terminal.events import Cancelled, FrameDone, Started

if TYPE_CHECKING:
    from impasto.hosts.terminal.interrupts import Interrupts
    from impasto.hosts.terminal.report import Reporter

FRAMES_OF_A_MOVIE = 12
MAKING, MADE, STOPPED = 1.0, 2.0, 3.0
"""What the process that makes pairs tells the others after every one, and at the end."""

Plates: TypeAlias = Annotated[
    list[str],
    typer.Option("--plates", metavar="PATH", help="Pictures, movies, sequences and folders of them; repeatable."),
]
OnPair: TypeAlias = Callable[[int, int, Path], None]
"""Told after every pair: how many are there, of how many, and from which plate."""


@dataclass(frozen=True, slots=True)
class PlateSource:
    """Pictures, movies, sequences and folders, with how many frames of a shot are wanted and the space of floats."""

    paths: Sequence[str]
    frames: int | None = None
    input_space: str | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """What is done to plates: by whom, the names of the pairs that this gives, and the doing."""

    named: str
    wanted: Callable[[Sequence[Path]], list[str]]
    make: Callable[[Sequence[Path], OnPair], None]


def make_told(
    source: PlateSource,
    into: Path,
    pairing: Pairing,
    reporter: Reporter,
    interrupts: Interrupts,
    *,
    alone: bool = False,
) -> bool:
    """Make the pairs of some plates in a folder, telling each; False where Ctrl-C ended it, which is told too.

    TrainingError where no others may be in that folder and there are.
    """
    from impasto.core.media.commit import make_folder
    from impasto.training.distributed import process_group

    make_folder(str(into / "before"))
    begun = time.monotonic()
    finished, group = 0, process_group()

    def on_pair(done: int, of: int, path: Path) -> None:
        nonlocal finished
        finished = done
        pace = done / max(time.monotonic() - begun, 1e-6)
        reporter.show(FrameDone(done, str(path), done, of, round(pace, 3), (of - done) / pace, 0))
        group.broadcast(MAKING)
        if interrupts.asked():
            raise _StoppedError

    with plate_pictures(source) as pictures:
        wanted = pairing.wanted(pictures)
        if alone:
            _require_no_others(into, wanted)
        reporter.show(Started(source.paths[0], str(into), pairing.named, 1, len(wanted), 0, 0, 0, None))
        try:
            pairing.make(pictures, on_pair)
        except _StoppedError:
            reporter.show(Cancelled(str(into), finished, round(time.monotonic() - begun, 1)))
            group.broadcast(STOPPED)
            return False
    group.broadcast(MADE)
    return True


def made_by_first(
    source: PlateSource, into: Path, pairing: Pairing, reporter: Reporter, interrupts: Interrupts
) -> bool:
    """As `make_told` for a run, by the first of the processes that train together, while the others wait for it.

    All that is in the folder is learned from, so TrainingError where pairs of other plates are left there.
    """
    from impasto.training.distributed import process_group

    group = process_group()
    if group.is_main:
        return make_told(source, into, pairing, reporter, interrupts, alone=True)
    while (heard := group.broadcast(MAKING)) == MAKING:
        pass
    return heard == MADE


def _require_no_others(into: Path, wanted: Sequence[str]) -> None:
    others = sorted({path.stem for path in (into / "before").glob("*.png")} - set(wanted))
    if others:
        raise TrainingError(
            f"expected in '{into}' no pairs of other plates than these, '{others[0]}' is there from an earlier run; "
            "start anew with --overwrite, or remove that folder"
        )


class _StoppedError(Exception):
    """Leaves the making between two plates."""


@contextmanager
def plate_pictures(source: PlateSource) -> Iterator[list[Path]]:
    """Every picture named or in a folder, and frames of every movie and sequence.

    Frames, and float pictures whose space is given, are kept as PNGs for the time of the `with` block. Raises
    TrainingError for a path that is none of these, where there is no picture at all, and for two of one name.
    """
    from impasto.core.media.open import is_movie
    from impasto.training.data.pictures import picture_files
    from impasto.training.data.plates import frames_of, in_space
    from impasto.training.data.shots import is_shot

    pictures: list[Path] = []
    shots: list[str] = []
    for path in source.paths:
        if is_shot(path):
            if is_movie(path) and not Path(path).exists():
                raise TrainingError(f"expected a movie at '{path}', found nothing; check the path")
            shots.append(path)
        elif Path(path).is_dir():
            pictures.extend(picture_files(Path(path)).values())
            shots.extend(sorted(str(movie) for movie in Path(path).iterdir() if is_movie(str(movie))))
        elif not Path(path).exists():
            raise TrainingError(f"expected pictures, movies or a folder at '{path}', found nothing; check the path")
        else:
            pictures.append(Path(path))
    if not pictures and not shots:
        folders = ", ".join(f"'{path}'" for path in source.paths)
        raise TrainingError(f"expected pictures or movies in {folders}, found none; name a folder with plates")
    with TemporaryDirectory(prefix="impasto-plates-") as kept:
        if source.input_space is not None:
            pictures = [in_space(path, source.input_space, Path(kept) / "stills") for path in pictures]
        for number, shot in enumerate(shots):
            count = FRAMES_OF_A_MOVIE if source.frames is None else source.frames
            pictures.extend(frames_of(shot, count, Path(kept) / str(number), source.input_space))
        _require_names(pictures)
        yield pictures


def _require_names(pictures: Sequence[Path]) -> None:
    """A pair bears the name of its plate, so that two of one name would be one pair."""
    seen: set[str] = set()
    for path in pictures:
        if path.stem in seen:
            raise TrainingError(
                f"expected plates of different names, got two called '{path.stem}'; rename one or leave it out"
            )
        seen.add(path.stem)
