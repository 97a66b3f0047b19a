"""Makes pairs of plates and painted pictures: finds the plates, and reports the progress."""

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
from impasto.hosts.events import FrameDone, RunCancelled, RunStarted, RunWarning

if TYPE_CHECKING:
    from impasto.hosts.terminal.interrupts import Interrupts
    from impasto.hosts.terminal.report import Reporter

FRAMES_OF_A_MOVIE = 12
MAKING, MADE, STOPPED = 1.0, 2.0, 3.0
"""Messages of the process that makes pairs to the others: after every pair, and at the end."""

Plates: TypeAlias = Annotated[
    list[str],
    typer.Option("--plates", metavar="PATH", help="Pictures, movies, sequences and folders of them; repeatable."),
]
OnPair: TypeAlias = Callable[[int, int, Path], None]
"""Called after every pair: how many exist, of how many, and the plate."""


@dataclass(frozen=True, slots=True)
class PlateSource:
    """Pictures, movies, sequences and folders; the number of frames from each shot; the space of float pictures."""

    paths: Sequence[str]
    frames: int | None = None
    input_space: str | None = None


@dataclass(frozen=True, slots=True)
class PairMaker:
    """A way to make pairs: its name, the names of the pairs for some plates, and the function."""

    name: str
    wanted: Callable[[Sequence[Path]], list[str]]
    make: Callable[[Sequence[Path], OnPair], None]


def make_pairs(
    source: PlateSource,
    into: Path,
    maker: PairMaker,
    reporter: Reporter,
    interrupts: Interrupts,
    *,
    alone: bool = False,
) -> bool:
    """Make the pairs of some plates in a folder and report each; False where Ctrl-C ended it.

    With `alone`, TrainingError for pairs of other plates in the folder.
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

    with plate_pictures(source, lambda text: reporter.show(RunWarning(text))) as pictures:
        wanted = maker.wanted(pictures)
        if alone:
            _require_no_others(into, wanted)
        reporter.show(RunStarted(source.paths[0], str(into), maker.name, 1, len(wanted), 0, 0, 0, None))
        try:
            maker.make(pictures, on_pair)
        except _StoppedError:
            reporter.show(RunCancelled(str(into), finished, round(time.monotonic() - begun, 1)))
            group.broadcast(STOPPED)
            return False
    group.broadcast(MADE)
    return True


def make_pairs_on_first(
    source: PlateSource, into: Path, maker: PairMaker, reporter: Reporter, interrupts: Interrupts
) -> bool:
    """Make pairs in the first of the processes that train together, while the others wait; see `make_pairs`.

    The run learns from everything in the folder, so pairs of other plates there are a TrainingError.
    """
    from impasto.training.distributed import process_group

    group = process_group()
    if group.is_main:
        return make_pairs(source, into, maker, reporter, interrupts, alone=True)
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
    """Stops between two plates."""


@contextmanager
def plate_pictures(source: PlateSource, on_note: Callable[[str], None]) -> Iterator[list[Path]]:
    """Every picture named or in a folder, and frames of every movie and sequence.

    A few damaged pictures are left out with a note; more are a TrainingError that names them all. Frames, and float
    pictures whose space is given, are PNG files for the time of the block. Raises TrainingError for a path that is none
    of these, where there is no picture at all, and for two of one name.
    """
    from impasto.core.media.open import is_movie
    from impasto.training.data.pictures import picture_files, readable_pictures
    from impasto.training.data.shots import is_shot
    from impasto.training.data.teacher_plates import frames_of, in_space

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
    pictures = readable_pictures(pictures, on_note)
    with TemporaryDirectory(prefix="impasto-plates-") as temporary:
        if source.input_space is not None:
            pictures = [in_space(path, source.input_space, Path(temporary) / "stills") for path in pictures]
        for number, shot in enumerate(shots):
            count = FRAMES_OF_A_MOVIE if source.frames is None else source.frames
            pictures.extend(frames_of(shot, count, Path(temporary) / str(number), source.input_space))
        _require_names(pictures)
        yield pictures


def _require_names(pictures: Sequence[Path]) -> None:
    """TrainingError for two plates of one name: a pair has the name of its plate."""
    seen: set[str] = set()
    for path in pictures:
        if path.stem in seen:
            raise TrainingError(
                f"expected plates of different names, got two called '{path.stem}'; rename one or leave it out"
            )
        seen.add(path.stem)
