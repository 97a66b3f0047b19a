"""A shot from its files to its result: read ahead, render, write behind.

Two frames are rendered at once, one in the network and one in colour; one thread reads, one writes, a few
frames wait between them. Frames go through in order, and the same frame gives the same pixels however the shot was cut.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from impasto.core import colour
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.media import FrameRange, ShotInfo, open_reader, open_writer, target_of
from impasto.core.media.frame_rate import require_rate
from impasto.core.media.guide_files import GuideFiles
from impasto.core.media.open import is_movie
from impasto.server.protocol.messages import (
    Cancelled,
    ShotDone,
    ShotEnd,
    ShotEvent,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
)
from impasto.server.shots.configuration import configured
from impasto.server.shots.expected_shot import ExpectedShot
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.guides import require_guides
from impasto.server.shots.job import InputFrame, deinterlaces, encoder_speed_of, frames_of, motion_of
from impasto.server.shots.mattes import matte_of, refuse_as_output, require_matte
from impasto.server.shots.memory import require_memory, require_size, shortage_named
from impasto.server.shots.motion import ShotMotion, notes_on, require_motion
from impasto.server.shots.motion_to_keys import motion_to_keys
from impasto.server.shots.output_lock import EVERY_FRAME, OutputLock
from impasto.server.shots.output_space import output_of, require_spaces
from impasto.server.shots.painter import Painter
from impasto.server.shots.pipeline import ReadAhead, WriteBehind
from impasto.server.shots.plates import plates, require_end, runs_to_render, whole_range, widened
from impasto.server.shots.provenance import ATTEMPT, JOB, refuse_newer_job, with_provenance
from impasto.server.shots.sound import with_sound

if TYPE_CHECKING:
    from impasto.core.engine import Rendered

DEPTH = 4
"""Frames that may wait before the network, and as many after it."""

IN_FLIGHT = 2
"""Frames that are rendered at once: one in the network, one in colour before or after it."""


class _CancelledError(Exception):
    """Leaves the render loop from any depth."""


def render_shot(
    job: ShotJob,
    painter: Painter,
    *,
    id: bytes = b"",
    on_event: Callable[[ShotEvent], None] = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
    on_cut: Callable[[str], None] = lambda path: None,
    most_pixels: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> ShotEnd:
    """Render a shot and return how it ended; `on_event` is called in the calling thread, `id` goes into every event.

    `cancelled` is called before each frame and each tile, and while waiting. Frames that are rendered by then are
    stored, and `Cancelled` counts them; a camera or stream ends by being stopped, so its movie gets its final name.
    Errors of reading, rendering and writing are raised as they are, after the frames before them have been stored and
    `on_cut` was called with their path. No thread is left behind. Raises whatever `open_reader`, `open_writer` and the
    painter raise, and UsageError and UnknownName for settings that cannot work.
    """
    with configured(job) as ocio:
        return _render(job, painter, ocio, id, on_event, cancelled, on_cut, most_pixels, clock)


def _render(
    job: ShotJob,
    painter: Painter,
    ocio: str | None,
    id: bytes,
    on_event: Callable[[ShotEvent], None],
    cancelled: Callable[[], bool],
    on_cut: Callable[[str], None],
    most_pixels: int | None,
    clock: Callable[[], float],
) -> ShotEnd:
    """See `render_shot`; colour spaces are looked up in the job's configuration, which is noted as `ocio`."""
    begun = clock()
    card = painter.style.card
    frames, settings = frames_of(job), ShotSettings(job, card.defaults, ocio)
    stated_rate = require_rate(job.rate)
    require_end(job)
    require_spaces(job)
    deinterlace = deinterlaces(job, card.name)
    reader = open_reader(job.input, frames=frames, layer=job.layer or None, rate=stated_rate, deinterlace=deinterlace)
    lock = OutputLock()
    try:
        info = reader.info
        require_size(settings.shared, info.width, info.height, most_pixels)
        require_memory(settings.shared, info.width, info.height)
        asked = motion_of(job)
        motion = require_motion(asked if settings.keys_show(info, card.keys) else None, card, info)
        precision = cache(lambda: painter.precision_for(eight_bit=_is_eight_bit(job, info)))
        whole = whole_range(job, deinterlace=deinterlace) if job.smoothing else None
        shot = ExpectedShot(job, info, settings, motion, card.weights_sha256, precision, whole)

        def finished(number: int, stored: Mapping[str, str]) -> bool:
            expected = shot.frame(number)
            if expected.disagreement(stored) is None:
                return True
            refuse_newer_job(stored, job.farm_job, expected.settings, card.name)
            return False

        writer = open_writer(
            job.output,
            with_sound(info, job.sound) if job.sound else info,
            overwrite=job.overwrite,
            resume=job.resume,
            encoder_speed=encoder_speed_of(job, card.size),
            resume_check=finished,
        )
        # The parts of a farm job may run twice at once: there the commit of each frame decides.
        if not (job.farm_job and job.resume):
            lock.take(writer.path, EVERY_FRAME if is_movie(writer.path) else _span(info))
        if job.matte:
            refuse_as_output(job.matte, writer.path)
            require_matte(job.matte, info)
        if motion is not None:
            refuse_as_output(str(motion.files.files), writer.path, "file of motion vectors")
        guides = require_guides(job.guides, card, info, writer.path)
        runs, skipped = runs_to_render(info, writer, resume=job.resume)
        to_render = None if info.frame_count is None else info.frame_count - skipped
        rate = None if info.rate is None else float(info.rate)
        on_event(ShotStarted(id, writer.path, info.first, to_render, skipped, info.width, info.height, rate))
        run = _Run(
            job, id, painter, info, settings, guides, motion, shot.around, on_event, cancelled, clock, most_pixels
        )
        if job.resume and not target_of(job.output, info).provenance:
            run.note(f"'{writer.path}' cannot bear how a frame was made, so all frames are rendered again")
        if asked is not None and motion is None:
            run.note("the painted keys are turned off, or not of this stroke: the motion vectors are not looked at")
        for text in () if motion is None else notes_on(motion, info):
            run.note(text)
    except BaseException:
        lock.release()
        reader.close()
        raise
    stopped = False
    behind = WriteBehind(writer, DEPTH)
    try:
        with (
            shortage_named(info.width, info.height),
            motion_to_keys(motion, job, reader, _looked_at(runs, info, whole), run.note, run.advance) as store,
            ReadAhead(
                plates(
                    reader,
                    runs,
                    layer=job.layer or None,
                    matte=job.matte,
                    rate=stated_rate,
                    deinterlace=deinterlace,
                    guides=guides,
                    motion=store,
                    whole=whole,
                ),
                DEPTH,
            ) as ahead,
            behind,
        ):
            try:
                run.paint(ahead.take(cancelled), behind)
                run.check()
            except _CancelledError:
                stopped = True
                # A camera has no end of its own: what was recorded until it was stopped is whole.
                if info.kind != "stream":
                    raise
    except _CancelledError:
        stopped = True
    except BaseException:
        run.count(behind.stored())
        if run.done:
            on_cut(writer.path)
        raise
    finally:
        lock.release()
        run.count(behind.stored())
    for text in writer.notes:
        run.note(text)
    path = result_path(writer.path, run.done, stopped=stopped and info.kind != "stream")
    if stopped:
        return Cancelled(id, "asked", path, run.done, clock() - begun)
    run.spend("reading_cpu", ahead.cpu_s)
    run.spend("writing_cpu", behind.cpu_s)
    skipped += run.made_elsewhere
    return ShotDone(id, path, run.done, skipped, run.invalid_pixels, clock() - begun, run.stages, run.precision)


def _is_eight_bit(job: ShotJob, info: ShotInfo) -> bool:
    """Whether results have 8 bits a sample, as the first plate says."""
    first = FrameRange(info.first, info.first)
    with open_reader(job.input, frames=first, layer=job.layer or None) as reader:
        frame = next(iter(reader))
    return FrameSettings(output=output_of(job, info, frame)).is_eight_bit(frame)


@dataclass(slots=True)
class _Run:
    """One shot job under way: its inputs, and its counts so far."""

    job: ShotJob
    id: bytes
    painter: Painter
    info: ShotInfo
    settings: ShotSettings
    guides: tuple[GuideFiles, ...]
    motion: ShotMotion | None
    around: Callable[[int], Sequence[str]]
    """The files of the plates that a frame looks at beside its own."""
    on_event: Callable[[ShotEvent], None]
    cancelled: Callable[[], bool]
    clock: Callable[[], float]
    most_pixels: int | None
    done: int = 0
    made_elsewhere: int = 0
    """Frames that another run stored while this one painted them."""
    invalid: dict[int, int] = field(default_factory=dict)
    """Frame number -> pixels with a NaN or infinite channel, of frames that are not stored yet."""
    invalid_pixels: int = 0
    """Of all frames."""
    cached: set[int] = field(default_factory=set)
    """Numbers of frames that were not painted now, and are not stored yet."""
    stages: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds: 'before', 'network', 'after' as the engine reports them, 'reading' and 'writing' spent waiting
    for the other threads, 'reading_cpu' and 'writing_cpu' processor time of those threads and their codecs."""
    precision: str = ""
    """What the network counted in; empty before the first frame."""
    noted: set[str] = field(default_factory=set)

    def paint(self, taken: Iterable[InputFrame], behind: WriteBehind) -> None:
        """Render plate after plate, two at a time, so that the colour work of one runs beside the network of the other.

        When something is raised, what was rendered before is on its way to disk.
        """
        output: Output | None = None
        waiting_since = self.clock()
        in_flight: deque[tuple[InputFrame, Future[Rendered]]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="impasto-render") as pool:
            try:
                for index, plate in enumerate(taken):
                    self.spend("reading", self.clock() - waiting_since)
                    if index == 0:
                        # Alone, because the engine may be built only now.
                        output = output_of(self.job, self.info, plate.frame)
                        self.note_on_colour(plate.frame, output)
                        self.finish(plate, self.render(plate, output), behind)
                    else:
                        in_flight.append((plate, pool.submit(copy_context().run, self.render, plate, output)))
                    if len(in_flight) == IN_FLIGHT:
                        self.finish_first(in_flight, behind)
                    waiting_since = self.clock()
            finally:
                # Also when the next plate cannot be read: the frames before it are good.
                while in_flight:
                    self.finish_first(in_flight, behind)

    def render(self, plate: InputFrame, output: Output | None) -> Rendered:
        """One plate painted; may run in a thread of its own."""
        settings = replace(self.settings.of_frame(plate.frame.number), output=output)
        data = plate.frame.part.data_window  # it may be larger than the display window that the shot states
        require_size(settings, data.width, data.height, self.most_pixels)
        matte = None if plate.matte is None else matte_of(plate.matte, plate.frame, settings.before.resize)
        return self.painter.render(plate.frame, settings, matte=matte, cancelled=self.check)

    def finish_first(self, in_flight: deque[tuple[InputFrame, Future[Rendered]]], behind: WriteBehind) -> None:
        """Wait for the oldest frame in flight and hand it on; an error of it drops the frames behind it."""
        plate, future = in_flight.popleft()
        try:
            rendered = future.result()
        except BaseException:
            in_flight.clear()
            raise
        self.finish(plate, rendered, behind)

    def finish(self, plate: InputFrame, rendered: Rendered, behind: WriteBehind) -> None:
        """Add up the time and the invalid pixels of a frame, and hand it to the writer."""
        for stage, seconds in rendered.report.seconds.items():
            self.spend(stage, seconds)
        for text in (*plate.frame.notes, *rendered.report.notes):
            self.note(text)
        self.precision = rendered.frame.provenance.get("precision", "")
        self.invalid[plate.frame.number] = rendered.report.invalid_pixels
        self.invalid_pixels += rendered.report.invalid_pixels
        if rendered.report.cached:
            self.cached.add(plate.frame.number)
        painted_at = self.clock()
        settings = self.settings.text(plate.frame.number)
        pictures = [each.path_of(plate.frame.number) for each in self.guides]
        stamps = None if self.motion is None else self.motion.digest(plate.frame.number)
        around = self.around(plate.frame.number)
        frame = with_provenance(rendered.frame, settings, plate.frame, plate.matte, pictures, stamps, around)
        if self.job.farm_job:
            frame = replace(frame, provenance={**frame.provenance, JOB: self.job.farm_job, ATTEMPT: self.job.attempt})
        behind.put(frame)
        self.spend("writing", self.clock() - painted_at)
        self.count(behind.stored())

    def note(self, text: str) -> None:
        """Report what an artist should know, once a shot."""
        if text not in self.noted:
            self.noted.add(text)
            self.on_event(ShotProgress(self.id, notes=(text,)))

    def note_on_colour(self, frame: Frame, output: Output | None) -> None:
        """Report what had to be assumed of the spaces of plate and result."""
        spaces = [colour.plate_space(frame, self.job.input_space or None)]
        if output is not None:
            spaces.append(colour.plate_space(replace(frame, colour_space=output.space)))
        for text in filter(None, map(colour.assumption_on, spaces)):
            self.note(text)

    def advance(self) -> None:
        """Report that work goes on before the first frame; leave it where it is to stop."""
        self.check()
        self.on_event(ShotProgress(self.id))

    def check(self) -> None:
        """Leave the work where it is to stop."""
        if self.cancelled():
            raise _CancelledError

    def spend(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def count(self, stored: list[tuple[int, str | None]]) -> None:
        """Report frames that are safe; those that another run stored are only counted."""
        for number, path in stored:
            cached = number in self.cached
            self.cached.discard(number)
            if path is None:
                self.made_elsewhere += 1
                self.invalid_pixels -= self.invalid.pop(number)
                continue
            self.done += 1
            frame = StoredFrame(number, path, self.done, self.invalid.pop(number), cached)
            self.on_event(ShotProgress(self.id, (frame,)))


def _looked_at(runs: list[FrameRange] | None, info: ShotInfo, whole: FrameRange | None) -> list[FrameRange] | None:
    """The runs with the frames beside them that are painted too; None for all frames of the job and no others."""
    if whole is None or info.range is None:
        return runs
    return [widened(run, whole) for run in ([info.range] if runs is None else runs)]


def _span(info: ShotInfo) -> tuple[int, int]:
    """The first and the last frame; of a camera or stream, which has no last one, every frame."""
    return EVERY_FRAME if info.frame_count is None else (info.first, info.first + info.frame_count - 1)


def result_path(path: str, stored: int, *, stopped: bool) -> str:
    """Where a result is to be found, '' where there is none; `path` is the writer's after its last frame."""
    return path if stored or not (stopped and is_movie(path)) else ""
