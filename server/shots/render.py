"""A shot from its files to its result: read ahead, render, write behind.

Two frames are rendered at once, one in the network and one in colour; one thread reads, one writes, a few
frames wait between them. Frames go through in order, and the same frame gives the same pixels however the shot was cut.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from impasto.core.animation import Animation
from impasto.core.card import Card
from impasto.core.frame import Frame, Samples
from impasto.core.grade import After, Before
from impasto.core.media import FrameRange, ShotInfo, open_reader, open_writer, target_of
from impasto.core.media.guide_files import GuideFiles
from impasto.core.media.open import is_movie
from impasto.core.motion.conventions import MotionWish
from impasto.core.params import Params
from impasto.core.working_picture import Output
from impasto.server.shots.frame_settings import Looks
from impasto.server.shots.guides import require_guides
from impasto.server.shots.mattes import matte_of, refuse_as_output, require_matte
from impasto.server.shots.motion import Motion, followed, notes_on, require_motion
from impasto.server.shots.output_space import output_of, require_spaces
from impasto.server.shots.pipeline import ReadAhead
from impasto.server.shots.plates import Plate, plates, runs_to_render, source_of
from impasto.server.shots.provenance import agrees, with_provenance
from impasto.server.shots.writebehind import Stored, WriteBehind

if TYPE_CHECKING:
    from impasto.core.engine import Rendered

DEPTH = 4
"""Frames that may wait before the network, and as many behind it."""

IN_FLIGHT = 2
"""Frames that are rendered at once: one in the network, one in colour before or behind it."""


@dataclass(frozen=True, slots=True)
class ShotJob:
    """Everything that decides what a shot job reads, paints and writes, as plain values.

    `params` None means the defaults of the style's card; a parameter with a track in `animation` goes by that.
    `output_space` None keeps the plate's space, or takes the custom of the result where plate and result differ:
    pictures in linear light, in log or in PQ become display-encoded where the result cannot say so, a movie becomes
    scene-linear in EXR.
    """

    input: str
    output: str
    frames: FrameRange | None = None
    params: Params | None = None
    animation: Animation | None = None
    before: Before = field(default_factory=Before)
    after: After = field(default_factory=After)
    layer: str | None = None
    matte: str | None = None
    guides: tuple[str, ...] = ()
    """Pictures with the guide layers of the style, where the plates do not hold them."""
    motion: MotionWish | None = None
    """Motion vectors that lead to the painted keys of the style, in place of optical flow."""
    input_space: str | None = None
    output_space: str | None = None
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ShotStarted:
    """The input and the first matte are open, the colour spaces are known and the output is free."""

    info: ShotInfo
    output: str
    to_render: int | None
    """Frames that will be rendered, None where the source does not know its end."""
    skipped: int
    """Frames that an earlier run finished."""


@dataclass(frozen=True, slots=True)
class FrameStored:
    """A frame is finished and safe."""

    number: int
    path: str
    done: int
    """Frames stored by this run so far."""
    invalid_pixels: int


@dataclass(frozen=True, slots=True)
class ShotNote:
    """Something an artist should know that is no error."""

    text: str


@dataclass(frozen=True, slots=True)
class ShotAdvanced:
    """Work goes on, before the first frame: nothing to show, and nothing hangs."""


ShotEvent: TypeAlias = ShotStarted | FrameStored | ShotNote | ShotAdvanced


@dataclass(frozen=True, slots=True)
class ShotResult:
    """What became of a shot job."""

    path: str | None
    """The final file or pattern; after a cancelled movie its partial file; None where nothing was written."""
    rendered: int
    skipped: int
    invalid_pixels: int
    seconds: float
    """Wall time from the first open to the last rename."""
    stages: Mapping[str, float]
    """Seconds in the calling thread: 'before', 'network', 'after' as the engine reports them, 'reading' and
    'writing' spent waiting for the other threads."""
    cancelled: bool


class Labelled(Protocol):
    """A style, as far as a shot job asks: its card."""

    @property
    def card(self) -> Card: ...


class Painter(Protocol):
    """The part of `impasto.core.engine.Engine` that a shot needs, so that it can be tested without a network."""

    @property
    def style(self) -> Labelled: ...

    @property
    def precision(self) -> str:
        """What the network counts in, as it is noted in a frame; asked for on resuming alone."""
        ...

    def render(
        self,
        frame: Frame,
        params: Params | None = None,
        *,
        matte: Samples | None = None,
        before: Before | None = None,
        after: After | None = None,
        input_space: str | None = None,
        output: Output | None = None,
        cancelled: Callable[[], None] = ...,
    ) -> Rendered: ...


class _CancelledError(Exception):
    """Leaves the render loop from wherever it is."""


def render_shot(
    job: ShotJob,
    engine: Painter,
    *,
    on_event: Callable[[ShotEvent], None] = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
    on_cut: Callable[[str], None] = lambda path: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ShotResult:
    """Render a shot and return what became of it; `on_event` is called in the calling thread.

    `cancelled` is asked before each frame and each tile, and while waiting. Frames that are rendered
    by then are stored, and the result says so; stopping is how a camera or stream ends, so its movie gets its
    final name. Errors of reading, rendering and writing are raised as they are, after the frames before them
    have been stored and `on_cut` has been told where. No thread is left behind. Raises whatever `open_reader`,
    `open_writer` and the engine raise.
    """
    begun = clock()
    require_spaces(job)
    looks = Looks(job, engine.style.card.defaults)
    sha256 = engine.style.card.weights_sha256
    reader = open_reader(job.input, frames=job.frames, layer=job.layer)
    try:
        info = reader.info
        motion = require_motion(
            job.motion if looks.keys_show(info, engine.style.card.keys) else None, engine.style.card, info
        )
        writer = open_writer(
            job.output,
            info,
            overwrite=job.overwrite,
            resume=job.resume,
            resume_check=lambda number, stored: agrees(
                stored,
                settings=looks.settings(number),
                style_sha256=sha256,
                precision=lambda: engine.precision,
                source=source_of(info, number),
                motion_stamps=None if motion is None else motion.digest(number),
            ),
        )
        if job.matte is not None:
            refuse_as_output(job.matte, writer.path)
            require_matte(job.matte, info)
        if motion is not None:
            refuse_as_output(str(motion.files.files), writer.path, "file of motion vectors")
        guides = require_guides(job.guides, engine.style.card, info, writer.path)
        runs, skipped = runs_to_render(info, writer, resume=job.resume)
        to_render = None if info.frame_count is None else info.frame_count - skipped
        on_event(ShotStarted(info, writer.path, to_render, skipped))
        if job.resume and not target_of(job.output, info).provenance:
            on_event(ShotNote(f"'{writer.path}' cannot bear how a frame was made, so all frames are rendered again"))
        if job.motion is not None and motion is None:
            on_event(
                ShotNote("the painted keys are turned off, or not of this stroke: the motion vectors are not looked at")
            )
        for text in () if motion is None else notes_on(motion, info):
            on_event(ShotNote(text))
    except BaseException:
        reader.close()
        raise
    run = _Run(job, engine, info, looks, guides, motion, on_event, cancelled, clock)
    stopped = False
    behind = WriteBehind(writer, DEPTH)
    try:
        with (
            followed(motion, job, reader, runs, run.note, run.advance) as moves,
            ReadAhead(
                plates(reader, runs, layer=job.layer, matte=job.matte, guides=guides, moves=moves), DEPTH
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
        run.count(behind.stored())
    for text in writer.notes:
        run.note(text)
    return ShotResult(
        path=result_path(writer.path, run.done, stopped=stopped and info.kind != "stream"),
        rendered=run.done,
        skipped=skipped,
        invalid_pixels=run.invalid_pixels,
        seconds=clock() - begun,
        stages=run.stages,
        cancelled=stopped,
    )


@dataclass(slots=True)
class _Run:
    """One shot job under way: what it works with, and what has come of it so far."""

    job: ShotJob
    engine: Painter
    info: ShotInfo
    looks: Looks
    guides: tuple[GuideFiles, ...]
    motion: Motion | None
    on_event: Callable[[ShotEvent], None]
    cancelled: Callable[[], bool]
    clock: Callable[[], float]
    done: int = 0
    invalid: dict[int, int] = field(default_factory=dict)
    """Frame number -> pixels with a NaN or infinite channel, of frames that are not stored yet."""
    invalid_pixels: int = 0
    """Of all frames."""
    stages: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    """Notes are told once a shot, not once a frame."""

    def paint(self, taken: Iterable[Plate], behind: WriteBehind) -> None:
        """Render plate after plate, two at a time, so that the colour work of one runs beside the network of the other.

        When something is raised, what was rendered before is on its way to disk.
        """
        output: Output | None = None
        waiting_since = self.clock()
        in_flight: deque[tuple[Plate, Future[Rendered]]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="impasto-render") as pool:
            try:
                for index, plate in enumerate(taken):
                    self.spend("reading", self.clock() - waiting_since)
                    if index == 0:
                        # Alone, because the engine may be built only now.
                        output = output_of(self.job, self.info, plate.frame)
                        self.finish(plate, self.render(plate, output), behind)
                    else:
                        in_flight.append((plate, pool.submit(self.render, plate, output)))
                    if len(in_flight) == IN_FLIGHT:
                        self.finish_first(in_flight, behind)
                    waiting_since = self.clock()
            finally:
                # Also when the next plate cannot be read: the frames before it are good.
                while in_flight:
                    self.finish_first(in_flight, behind)

    def render(self, plate: Plate, output: Output | None) -> Rendered:
        """One plate painted; may run in a thread of its own."""
        job = self.job
        return self.engine.render(
            plate.frame,
            self.looks.params(plate.frame.number),
            matte=None if plate.matte is None else matte_of(plate.matte, plate.frame, job.before.resize),
            before=job.before,
            after=job.after,
            input_space=job.input_space,
            output=output,
            cancelled=self.check,
        )

    def finish_first(self, in_flight: deque[tuple[Plate, Future[Rendered]]], behind: WriteBehind) -> None:
        """Wait for the oldest frame in flight and hand it on; what it raised drops those behind it."""
        plate, future = in_flight.popleft()
        try:
            rendered = future.result()
        except BaseException:
            in_flight.clear()
            raise
        self.finish(plate, rendered, behind)

    def finish(self, plate: Plate, rendered: Rendered, behind: WriteBehind) -> None:
        """Count what a frame took and met, and hand it to the writer."""
        for stage, seconds in rendered.report.seconds.items():
            self.spend(stage, seconds)
        for text in (*plate.frame.notes, *rendered.report.notes):
            self.note(text)
        self.invalid[plate.frame.number] = rendered.report.invalid_pixels
        self.invalid_pixels += rendered.report.invalid_pixels
        painted_at = self.clock()
        settings = self.looks.settings(plate.frame.number)
        pictures = [each.path_of(plate.frame.number) for each in self.guides]
        stamps = None if self.motion is None else self.motion.digest(plate.frame.number)
        behind.put(with_provenance(rendered.frame, settings, plate.frame, plate.matte, pictures, stamps))
        self.spend("writing", self.clock() - painted_at)
        self.count(behind.stored())

    def note(self, text: str) -> None:
        """Tell what an artist should know, once."""
        if text not in self.told:
            self.told.add(text)
            self.on_event(ShotNote(text))

    def advance(self) -> None:
        """Tell that work goes on before the first frame; leave it where somebody asked for that."""
        self.check()
        self.on_event(ShotAdvanced())

    def check(self) -> None:
        """Leave the work where somebody asked for it."""
        if self.cancelled():
            raise _CancelledError

    def spend(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def count(self, stored: list[Stored]) -> None:
        """Tell of frames that are safe."""
        for each in stored:
            self.done += 1
            self.on_event(FrameStored(each.number, each.path, self.done, self.invalid.pop(each.number)))


def result_path(path: str, stored: int, *, stopped: bool) -> str | None:
    """Where a result is to be found, None where there is none; `path` is the writer's after its last frame."""
    return path if stored or not (stopped and is_movie(path)) else None
