"""A shot job inside a worker: the request as values, its frames in turns, and what has been stored told in handfuls."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from impasto.core.controls import after_of, before_of, params_of
from impasto.core.errors import UsageError
from impasto.core.media import FrameRange
from impasto.core.media.open import is_movie
from impasto.core.motion.conventions import MotionWish
from impasto.core.params import Params
from impasto.core.resize import Resize
from impasto.server.protocol.animation import animation_from
from impasto.server.protocol.messages import ShotDone, StoredFrame, SubmitShot
from impasto.server.protocol.messages import ShotStarted as ShotStartedMessage
from impasto.server.protocol.text import cleaned
from impasto.server.protocol.worker_messages import FramesSafe, FromWorker, RunShot, ShotEnded, ShotOpened, WorkStopped
from impasto.server.shots.render import FrameStored, ShotEvent, ShotJob, ShotNote, ShotStarted, render_shot
from impasto.server.worker.scheduled_painter import ScheduledPainter

if TYPE_CHECKING:
    from impasto.server.worker.painting_device import PaintingDevice
    from impasto.server.worker.work_items import WorkItem

TELL_S: Final = 0.1
"""Notes are told at most ten times a second; a stored frame at once."""
FRAMES_AT_ONCE: Final = 64
NOTES_AT_ONCE: Final = 16


class ShotWork:
    """One shot job of a worker. `run` is called in a thread of its own; the rest by the listening one."""

    def __init__(self, order: RunShot, unit: WorkItem, send: Callable[[FromWorker], None]) -> None:
        self._order, self._unit, self._send = order, unit, send
        self._lock = threading.Lock()
        self._stored: deque[StoredFrame] = deque()
        self._notes: deque[str] = deque()
        self._told_at = 0.0
        self._painter: ScheduledPainter | None = None
        self._cut = ""
        self._count = 0

    @property
    def due(self) -> float:
        """When `tell_if_due` has something to do, on the monotonic clock."""
        return self._told_at + TELL_S if self._stored or self._notes else float("inf")

    def tell_if_due(self, now: float) -> None:
        """Tell of the frames that were stored, unless the front was told a moment ago."""
        with self._lock:
            if now >= self.due:
                self._tell(now)

    def grant(self, turn: int) -> None:
        """The job may paint the frame of this turn."""
        if self._painter is not None:
            self._painter.grant(turn)

    def wake(self) -> None:
        """The job was told to stop."""
        if self._painter is not None:
            self._painter.wake()

    def so_far(self) -> tuple[str, int]:
        """Where the frames are that were stored before an error, and how many; '' where there are none."""
        return self._cut, self._count

    def run(self, device: PaintingDevice) -> ShotEnded | WorkStopped:
        """Render the shot; how it ended. Every stored frame has been told by then. Raises what `render_shot` raises."""
        unit = self._unit
        try:
            unit.moved()
            painter = device.painter(self._order.request.look, self._order.style_path)
            job = for_attempt(job_of(self._order.request, painter.style.card.defaults), self._order)
            self._painter = ScheduledPainter(painter, unit.id, self._send, unit.moved)
            unit.moved()
            result = render_shot(
                job, self._painter, on_event=self._told, cancelled=lambda: unit.stopped, on_cut=self._note_cut
            )
        finally:
            with self._lock:
                self._tell(time.monotonic())
        path = cleaned(result.path or "")
        if result.cancelled:
            return WorkStopped(unit.id, path, result.rendered, result.seconds)
        return ShotEnded(
            ShotDone(
                unit.id,
                path,
                result.rendered,
                result.skipped,
                result.invalid_pixels,
                result.seconds,
                dict(result.stages),
            )
        )

    def _note_cut(self, path: str) -> None:
        self._cut = cleaned(path)

    def _told(self, event: ShotEvent) -> None:
        self._unit.moved()
        if isinstance(event, ShotStarted):
            info = event.info
            rate = None if info.rate is None else float(info.rate)
            started = ShotStartedMessage(
                self._unit.id,
                cleaned(event.output),
                info.first,
                event.to_render,
                event.skipped,
                info.width,
                info.height,
                rate,
                self._order.attempt,
            )
            self._send(ShotOpened(started))
            return
        with self._lock:
            if isinstance(event, FrameStored):
                self._count = event.done
                # A movie's frames are where the movie will be; nothing has the final name yet.
                self._stored.append(StoredFrame(event.number, cleaned(event.path), event.done, event.invalid_pixels))
            elif isinstance(event, ShotNote):
                self._notes.append(cleaned(event.text))
            now = time.monotonic()
            # A stored frame is told at once, because this process may die before the next; the front gathers handfuls.
            if self._stored or now >= self.due:
                self._tell(now)

    def _tell(self, now: float) -> None:
        while self._stored or self._notes:
            frames = tuple(self._stored.popleft() for _ in range(min(FRAMES_AT_ONCE, len(self._stored))))
            notes = tuple(self._notes.popleft() for _ in range(min(NOTES_AT_ONCE, len(self._notes))))
            self._send(FramesSafe(self._unit.id, frames, notes))
        self._told_at = now


def job_of(request: SubmitShot, defaults: Params) -> ShotJob:
    """A request as the shot job that it asks for, with a style's defaults. UnknownName, UsageError for the absurd."""
    look = request.look
    if (request.first is None) != (request.last is None):
        raise UsageError("expected both the first and the last frame of a range, got one; give both or neither")
    frames = None
    if request.first is not None and request.last is not None:
        if request.last < request.first:
            raise UsageError(f"expected the first frame before the last, got {request.first} to {request.last}")
        frames = FrameRange(request.first, request.last)
    return ShotJob(
        input=request.input,
        output=request.output,
        frames=frames,
        params=params_of(look.params, defaults),
        animation=animation_from(request.animated),
        before=replace(before_of(look.before), resize=_size_of(request.before_resize)),
        after=replace(after_of(look.after), resize=_size_of(request.after_resize)),
        layer=request.layer or None,
        matte=request.matte or None,
        guides=request.guides,
        motion=MotionWish.of(request.motion, request.motion_layer) if request.motion else None,
        input_space=request.input_space or None,
        output_space=request.output_space or None,
        overwrite=request.overwrite,
        resume=request.resume,
    )


def for_attempt(job: ShotJob, order: RunShot) -> ShotJob:
    """The job as a later attempt goes on with it: what an earlier one stored is kept.

    A movie is written in one go, so it is rendered again. An attempt after one that never opened the shot is like the
    first: what is there was not made by this job.
    """
    if order.attempt < 2 or not order.opened or is_movie(job.output):
        return job
    return replace(job, resume=True, overwrite=False)


def _size_of(text: str) -> Resize | None:
    return Resize.parse(text) if text else None
