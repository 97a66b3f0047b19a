"""The frames of a shot that are rendered, each with its matte, guides and motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from fractions import Fraction
from itertools import groupby

from impasto.core.errors import UnreadableMedia, UsageError
from impasto.core.frame_settings import SMOOTHING_REACH
from impasto.core.media import FrameRange, Reader, ShotInfo, Writer, open_reader
from impasto.core.media.guide_files import GuideFiles
from impasto.core.media.numbering import parse_numbered
from impasto.core.media.open import is_live, is_movie
from impasto.server.protocol.messages import ShotJob
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
    whole: FrameRange | None = None,
) -> Generator[InputFrame, None, None]:
    """Every plate that is rendered, with its matte, guides and motion; closes the readers it uses.

    `reader` is open on the whole shot and is read where `runs` is None; else the runs are opened one by one. With
    `whole`, all frames that the shot has, each plate also has the plates around it.
    """
    path = reader.info.path
    asked = reader.info.range
    if whole is not None and asked is not None:
        reader.close()
        rendered = [asked] if runs is None else runs
        numbers = {number for run in rendered for number in range(run.first, run.last + 1)}
        for run in _in_one_go(rendered) if is_movie(path) else rendered:
            read = widened(run, whole)
            with open_reader(path, frames=read, layer=layer, rate=rate, deinterlace=deinterlace) as part:
                shown = with_motion(with_guides(_with_mattes(part, matte, run), guides), motion)
                yield from with_neighbours(shown, {number for number in numbers if number in run})
        return
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


def require_end(job: ShotJob) -> None:
    """UsageError for a camera or stream that is to be smoothed: each frame looks at later ones."""
    if job.smoothing and is_live(job.input):
        raise UsageError(
            f"expected a shot with an end for --smoothing, which looks at later frames too, got '{job.input}'; record "
            "it first, or leave --smoothing out"
        )


def whole_range(job: ShotJob, *, deinterlace: bool) -> FrameRange | None:
    """The frames that a shot has, of which a job may ask for some; None where the shot does not say."""
    with open_reader(job.input, layer=job.layer or None, deinterlace=deinterlace) as reader:
        return reader.info.range


def widened(run: FrameRange, whole: FrameRange) -> FrameRange:
    """A run with the frames that its first and last look at, as far as the shot has them."""
    return FrameRange(max(whole.first, run.first - SMOOTHING_REACH), min(whole.last, run.last + SMOOTHING_REACH))


def with_neighbours(plates: Iterable[InputFrame], wanted: Container[int]) -> Iterator[InputFrame]:
    """The wanted ones among consecutive plates, each with up to `SMOOTHING_REACH` frames before and after it."""
    held: deque[InputFrame] = deque(maxlen=2 * SMOOTHING_REACH + 1)
    pending: deque[int] = deque()
    for plate in plates:
        held.append(plate)
        if plate.frame.number in wanted:
            pending.append(plate.frame.number)
        while pending and plate.frame.number >= pending[0] + SMOOTHING_REACH:
            yield _with_around(held, pending.popleft())
    for number in pending:
        yield _with_around(held, number)


def _with_around(held: Iterable[InputFrame], number: int) -> InputFrame:
    plate = next(each for each in held if each.frame.number == number)
    beside = (each.frame for each in held if 0 < abs(each.frame.number - number) <= SMOOTHING_REACH)
    return replace(plate, frame=replace(plate.frame, around=tuple(beside)))


def _in_one_go(runs: list[FrameRange]) -> list[FrameRange]:
    return [FrameRange(runs[0].first, runs[-1].last)] if runs else []


def _with_mattes(reader: Reader, matte: str, run: FrameRange | None) -> Iterator[InputFrame]:
    """Every frame of a reader, those of `run` with their matte. UnreadableMedia where fewer come than were promised."""
    count = 0
    with closing(matte_frames(matte, run)) if matte else nullcontext() as mattes:
        for frame in reader:
            count += 1
            has_matte = mattes is not None and (run is None or frame.number in run)
            yield InputFrame(frame, next(mattes) if mattes is not None and has_matte else None)
    promised = reader.info.frame_count
    if promised is not None and count < promised:
        raise UnreadableMedia(f"expected {promised} frames in '{reader.info.path}', found {count}; copy it again")
