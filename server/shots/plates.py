"""The frames of a shot that are rendered, each with its matte, guides and motion."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from fractions import Fraction
from itertools import groupby

from impasto.core.errors import UnreadableMedia
from impasto.core.media import FrameRange, Reader, ShotInfo, Writer, open_reader
from impasto.core.media.guide_files import GuideFiles
from impasto.core.media.numbering import parse_numbered
from impasto.core.media.open import is_movie
from impasto.server.shots.guides import with_guides
from impasto.server.shots.job import InputFrame
from impasto.server.shots.mattes import matte_frames
from impasto.server.shots.motion_to_keys import MotionStore, with_motion


def source_of(info: ShotInfo, number: int) -> str:
    """The file that a frame of a shot comes from."""
    files = parse_numbered(info.path) if info.kind == "sequence" else None
    return info.path if files is None else files.path_of(number)


def runs_to_render(info: ShotInfo, writer: Writer, *, resume: bool) -> tuple[list[FrameRange] | None, int]:
    """The ranges of frames that are not finished yet and the number of those that are; None for all frames.

    A movie is read from its first open frame to its last in one go, because seeking in it costs more than a few frames.
    """
    if not resume or info.frame_count is None:
        return None, 0
    numbers = range(info.first, info.first + info.frame_count)
    open_numbers = [number for number in numbers if not writer.has(number)]
    skipped = len(numbers) - len(open_numbers)
    if not skipped:
        return None, 0
    # Consecutive numbers keep their distance to their place in the list.
    grouped = groupby(enumerate(open_numbers), key=lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in group] for _, group in grouped]
    return [FrameRange(run[0], run[-1]) for run in runs], skipped


def plates(
    reader: Reader,
    runs: list[FrameRange] | None,
    *,
    layer: str | None,
    matte: str,
    rate: Fraction | None = None,
    deinterlace: bool = True,
    guides: tuple[GuideFiles, ...] = (),
    motion: MotionStore | None = None,
) -> Generator[InputFrame, None, None]:
    """Every plate that is rendered, with its matte, guides and motion; closes the readers it uses.

    `reader` is open on the whole shot and is read where `runs` is None; else the runs are opened one by one.
    """
    path = reader.info.path
    with reader:
        if runs is None:
            yield from with_motion(with_guides(_with_mattes(reader, matte, reader.info.range), guides), motion)
            return
    for run in _in_one_go(runs) if is_movie(path) else runs:
        with open_reader(path, frames=run, layer=layer, rate=rate, deinterlace=deinterlace) as part:
            wanted = (
                plate for plate in _with_mattes(part, matte, run) if any(plate.frame.number in each for each in runs)
            )
            yield from with_motion(with_guides(wanted, guides), motion)


def _in_one_go(runs: list[FrameRange]) -> list[FrameRange]:
    return [FrameRange(runs[0].first, runs[-1].last)] if runs else []


def _with_mattes(reader: Reader, matte: str, run: FrameRange | None) -> Iterator[InputFrame]:
    """Every frame of a reader with its matte. UnreadableMedia where there are fewer than it promised."""
    count = 0
    with closing(matte_frames(matte, run)) if matte else nullcontext() as mattes:
        for frame in reader:
            count += 1
            yield InputFrame(frame, None if mattes is None else next(mattes))
    promised = reader.info.frame_count
    if promised is not None and count < promised:
        raise UnreadableMedia(f"expected {promised} frames in '{reader.info.path}', found {count}; copy it again")
