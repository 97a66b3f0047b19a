# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of live strips asked of the server: without waiting while the artist looks, with a time limit for a render."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from impasto.core.errors import DeadlineExpired, ImpastoError, RequestCancelled, ServerBusy, ServerUnreachable
from impasto.server.client import Client
from impasto.server.client.futures import ShotFuture
from impasto.server.protocol.messages import ShotDone, ShotJob

from ..shot_job import shot_job
from .frames import LiveFrames, LiveStrip

POLL_S: Final = 0.25
"""How often a render checks whether its frame is painted, beside the server's events."""
AGAIN_S: Final = 3.0
"""Seconds after a failure in which the same frames are not asked for again."""
END_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """Frames of a live strip, in a row."""

    strip: LiveStrip
    first: int
    last: int

    def covers(self, frames: LiveFrames, number: int) -> bool:
        """Whether it paints this frame."""
        return self.strip.frames == frames and self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class LiveOutcome:
    """How a request ended."""

    request: LiveRequest
    error: ImpastoError | None


def _job_of(request: LiveRequest) -> ShotJob:
    strip = request.strip
    # Without the style's digest: the server paints with the style that it has now, and a new one has another folder.
    look = replace(strip.look.at(request.first), style_state="")
    return shot_job(
        look,
        strip.plate.input,
        strip.frames.pattern,
        range(request.first, request.last + 1),
        input_space=strip.plate.space,
        lane="interactive",
    )


class LiveRequests:
    """One request for each viewer at a time: a newer one replaces the older.

    A thread of its own talks to the server, because finding it, or starting it again, takes time. `on_outcome` is
    called in that thread, or in the client's, and must not wait.
    """

    def __init__(
        self,
        client_of: Callable[[], Client],
        on_outcome: Callable[[LiveOutcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_of, self._on_outcome, self._clock = client_of, on_outcome, clock
        self._lock = threading.Lock()
        self._wanted: dict[str, LiveRequest] = {}
        """Viewer -> what it waits for."""
        self._futures: dict[str, tuple[LiveRequest, ShotFuture]] = {}
        self._failed: dict[str, tuple[LiveRequest, float]] = {}
        self._wakeups: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, request: LiveRequest) -> bool:
        """Ask for frames in the place of what this viewer asked for before; returns whether it was new. Never waits."""
        viewer = request.strip.viewer
        with self._lock:
            if self._wanted.get(viewer) == request:
                return False
            failed = self._failed.get(viewer)
            if failed is not None and failed[0] == request and self._clock() < failed[1] + AGAIN_S:
                return False
            self._wanted[viewer] = request
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="impasto-live", daemon=True)
                self._thread.start()
        self._wakeups.put(viewer)
        return True

    def cancel(self, viewer: str) -> None:
        """Cancel what a viewer asked for."""
        with self._lock:
            self._wanted.pop(viewer, None)
            self._failed.pop(viewer, None)
            former = self._futures.pop(viewer, None)
        if former is not None:
            former[1].cancel()

    def pending(self, viewer: str) -> LiveRequest | None:
        """What a viewer waits for."""
        return self._wanted.get(viewer)

    @property
    def idle(self) -> bool:
        """Whether no viewer waits for anything."""
        return not self._wanted

    def close(self) -> None:
        """Cancel everything and end the thread."""
        for viewer in list(self._wanted):
            self.cancel(viewer)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wakeups.put(None)
            thread.join(END_S)

    def _run(self) -> None:
        while (viewer := self._wakeups.get()) is not None:
            with self._lock:
                request = self._wanted.get(viewer)
                former = self._futures.get(viewer)
            if request is None or (former is not None and former[0] == request):
                continue
            if former is not None:
                former[1].cancel()
            try:
                future = self._client_of().submit_shot(_job_of(request))
            except ImpastoError as error:
                self._end(request, error)
                continue
            with self._lock:
                wanted = self._wanted.get(viewer) == request
                if wanted:
                    self._futures[viewer] = (request, future)
            if wanted:
                future.add_done_callback(partial(self._done, request))
            else:
                future.cancel()

    def _done(self, request: LiveRequest, future: Future[ShotDone]) -> None:
        error = future.exception()
        self._end(request, error if isinstance(error, ImpastoError) else None)

    def _end(self, request: LiveRequest, error: ImpastoError | None) -> None:
        viewer = request.strip.viewer
        with self._lock:
            current = self._wanted.get(viewer) == request
            if current:
                del self._wanted[viewer]
                self._futures.pop(viewer, None)
                self._failed.pop(viewer, None)
                if error is not None:
                    self._failed[viewer] = (request, self._clock())
        if current or error is None:
            self._on_outcome(LiveOutcome(request, error))


class RenderWait:
    """Frames for a final render: some are asked for ahead, and one is waited for at a time."""

    def __init__(self, client_of: Callable[[float], Client], clock: Callable[[], float] = time.monotonic) -> None:
        self._client_of, self._clock = client_of, clock
        self._ahead: dict[str, tuple[LiveRequest, ShotFuture]] = {}

    def frame(self, strip: LiveStrip, number: int, last: int, budget_s: float) -> None:
        """Return when the frame is painted. Those after it, up to `last`, are asked for with it.

        Raises DeadlineExpired beyond the budget, else what painting it raises. A server that is lost is found, or
        started, again within the budget.
        """
        until = self._clock() + budget_s
        trouble: ImpastoError | None = None
        while not strip.frames.has(number):
            left = until - self._clock()
            if left <= 0:
                why = f" ({trouble})" if trouble is not None else ""
                raise DeadlineExpired(
                    f"expected frame {number} of '{strip.plate.input}' to be painted within {budget_s:g} s, it was "
                    f"not{why}; allow more time, or make the live strip cached before the render"
                )
            try:
                self._wait(strip, number, last, left)
            except (ServerUnreachable, ServerBusy) as error:
                trouble = error
                self._ahead.pop(strip.viewer, None)
                threading.Event().wait(min(POLL_S, left))

    def cancel(self) -> None:
        """Cancel what is still under way, because the render has ended."""
        for _, future in self._ahead.values():
            future.cancel()
        self._ahead.clear()

    def _wait(self, strip: LiveStrip, number: int, last: int, left_s: float) -> None:
        request, future = self._ahead.get(strip.viewer, (None, None))
        if request is None or future is None or not request.covers(strip.frames, number):
            if future is not None:
                future.cancel()
            end = number if strip.look.animated else strip.frames.run_from(number, last)
            request = LiveRequest(strip, number, end)
            future = self._client_of(left_s).submit_shot(_job_of(request), timeout_s=left_s)
            self._ahead[strip.viewer] = (request, future)
        try:
            event = future.next_event(min(POLL_S, left_s))
        except queue.Empty:
            return
        if event is None:
            del self._ahead[strip.viewer]
            future.result(0)  # raises what went wrong
            if not strip.frames.has(number):
                raise RequestCancelled(
                    f"expected frame {number} of '{strip.plate.input}', the server painted {request.first} to "
                    f"{request.last} without it; check the range of the strip"
                )
