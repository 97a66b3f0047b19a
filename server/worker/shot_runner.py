"""A shot job inside a worker: its frames are painted in turns, and what has been stored is reported in batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from impasto.core.media.open import is_live, is_movie
from impasto.server.protocol.messages import Cancelled, RenderSettings, ShotEvent, ShotJob, ShotStarted, StoredFrame
from impasto.server.protocol.text import cleaned
from impasto.server.protocol.worker_messages import FramesSafe, FromWorker, RunShot, ShotEnded, ShotOpened, WorkStopped
from impasto.server.shots.painter import Painter
from impasto.server.shots.render import render_shot
from impasto.server.worker.held_paths import held_job
from impasto.server.worker.scheduled_painter import ScheduledPainter
from impasto.server.worker.work_items import WorkItem

REPORT_S: Final = 0.1
"""Notes are sent at most ten times a second; a stored frame at once."""
FRAMES_PER_MESSAGE: Final = 64
NOTES_PER_MESSAGE: Final = 16


class ShotRunner:
    """One shot job of a worker. `run` is called in a thread of its own, the other methods by the thread of the loop."""

    def __init__(self, order: RunShot, unit: WorkItem, send: Callable[[FromWorker], None]) -> None:
        self._order, self._unit, self._send = order, unit, send
        self._lock = threading.Lock()
        self._stored: deque[StoredFrame] = deque()
        self._notes: deque[str] = deque()
        self._reported_at = 0.0
        self._painter: ScheduledPainter | None = None
        self._told: Callable[[str], str] = cleaned
        self._cut = ""
        self._count = 0

    @property
    def due(self) -> float:
        """When `report_if_due` has something to do, on the monotonic clock."""
        return self._reported_at + REPORT_S if self._stored or self._notes else float("inf")

    def report_if_due(self, now: float) -> None:
        """Report what waits, unless the last report was just now."""
        with self._lock:
            if now >= self.due:
                self._report(now)

    def grant(self, turn: int) -> None:
        """The job may paint the frame of this turn."""
        if self._painter is not None:
            self._painter.grant(turn)

    def wake(self) -> None:
        """Let the job see at once that it is to stop."""
        if self._painter is not None:
            self._painter.wake()

    def so_far(self) -> tuple[str, int]:
        """Path of the frames that were stored before an error, '' where there are none, and their number."""
        return self._cut, self._count

    def run(self, painter_of: Callable[[RenderSettings, str], Painter]) -> ShotEnded | WorkStopped:
        """Render the shot; how it ended. Every stored frame is reported by then. Raises what `render_shot` raises.

        `painter_of` gets the settings and the path of the style.
        """
        unit, request = self._unit, self._order.request
        try:
            unit.moved()
            # No frame of a camera or a stream comes twice.
            look = replace(request.job.look, cache=False) if is_live(request.job.input) else request.job.look
            painter = painter_of(look, self._order.style_path)
            self._painter = ScheduledPainter(painter, unit.id, self._send, unit.moved)
            unit.moved()
            with held_job(for_attempt(request.job, self._order), self._order.roots) as held:
                self._told = held.told
                end = render_shot(
                    held.job,
                    self._painter,
                    id=unit.id,
                    on_event=self._on_event,
                    cancelled=lambda: unit.stopped,
                    on_cut=self._note_cut,
                    most_pixels=self._order.pixels,
                )
        finally:
            with self._lock:
                self._report(time.monotonic())
        path = self._told(end.path)
        if isinstance(end, Cancelled):
            return WorkStopped(unit.id, path, end.rendered, end.seconds)
        return ShotEnded(replace(end, path=path))

    def _note_cut(self, path: str) -> None:
        self._cut = self._told(path)

    def _on_event(self, event: ShotEvent) -> None:
        self._unit.moved()
        if isinstance(event, ShotStarted):
            self._send(ShotOpened(replace(event, output=self._told(event.output), attempt=self._order.attempt)))
            return
        with self._lock:
            for frame in event.stored:
                self._count = frame.done
                # A movie's frames are where the movie will be; nothing has the final name yet.
                self._stored.append(replace(frame, path=self._told(frame.path)))
            self._notes.extend(map(self._told, event.notes))
            now = time.monotonic()
            # A stored frame is sent at once, because this process may die before the next; the front gathers batches.
            if self._stored or now >= self.due:
                self._report(now)

    def _report(self, now: float) -> None:
        while self._stored or self._notes:
            frames = tuple(self._stored.popleft() for _ in range(min(FRAMES_PER_MESSAGE, len(self._stored))))
            notes = tuple(self._notes.popleft() for _ in range(min(NOTES_PER_MESSAGE, len(self._notes))))
            self._send(FramesSafe(self._unit.id, frames, notes))
        self._reported_at = now


def for_attempt(job: ShotJob, order: RunShot) -> ShotJob:
    """The job as a later attempt renders it: what an earlier one stored is kept.

    A movie is written in one go, so it is rendered again. An attempt after one that never opened the shot is like the
    first: what is there was not made by this job.
    """
    if order.attempt < 2 or not order.opened or is_movie(job.output):
        return job
    return replace(job, resume=True, overwrite=False)
