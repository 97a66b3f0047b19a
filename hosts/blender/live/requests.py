# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of live strips asked of the server: without waiting while the artist looks, with a time limit for a render."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

from impasto.core.errors import DeadlineExpired, ImpastoError, RequestCancelled, ServerBusy, ServerUnreachable
from impasto.server.client import Client
from impasto.server.client.futures import ShotFuture
from impasto.server.protocol.messages import Lane, RenderSettings, ShotDone, ShotJob

from .frames import LiveFrames, LiveLook

LOOK_S: Final = 0.25
"""How often a render looks whether its frame is there, beside being told."""
AGAIN_S: Final = 3.0
"""After a request failed, how long the same frame is not asked for again."""
END_S: Final = 2.0
OUTPUT_SPACE: Final = "lin_rec709"
"""What a compositor's image node is told that the files are in, whatever the plate is."""


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """Frames of one look, in a row."""

    look: LiveLook
    frames: LiveFrames
    first: int
    last: int

    def covers(self, frames: LiveFrames, number: int) -> bool:
        """Whether a frame comes of it."""
        return self.frames == frames and self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an order of a viewer."""

    viewer: str
    order: FrameOrder
    error: ImpastoError | None


def job_of(order: FrameOrder, lane: Lane) -> ShotJob:
    """The order as a shot job; frames that are there already are passed over.

    The whole style is asked for: how much of it shows is mixed in Blender.
    """
    params = {**order.look.params_at(order.first), "strength": 1.0}
    return ShotJob(
        RenderSettings(style=order.look.style, params=params),
        order.look.input,
        order.frames.pattern,
        first=order.first,
        last=order.last,
        matte=order.look.matte,
        input_space=order.look.space,
        output_space=OUTPUT_SPACE,
        resume=True,
        lane=lane,
    )


class LiveRequests:
    """One order a viewer at a time: a newer one takes the place of the older.

    A thread of its own talks to the server, because finding it, or starting it again, takes its time. `told` is called
    in that thread, or in the client's, and must not wait.
    """

    def __init__(
        self,
        client_of: Callable[[], Client],
        told: Callable[[Told], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_of, self._told, self._clock = client_of, told, clock
        self._lock = threading.Lock()
        self._orders: dict[str, FrameOrder] = {}
        """What each viewer waits for."""
        self._futures: dict[str, tuple[FrameOrder, ShotFuture]] = {}
        self._failed: dict[str, tuple[FrameOrder, float]] = {}
        self._bell: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, viewer: str, order: FrameOrder) -> bool:
        """Have frames painted, and drop what this viewer asked for before; whether that was news. Never waits."""
        with self._lock:
            if self._orders.get(viewer) == order:
                return False
            failed = self._failed.get(viewer)
            if failed is not None and failed[0] == order and self._clock() < failed[1] + AGAIN_S:
                return False
            self._orders[viewer] = order
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="impasto-live", daemon=True)
                self._thread.start()
        self._bell.put(viewer)
        return True

    def drop(self, viewer: str) -> None:
        """Take back what a viewer asked for."""
        with self._lock:
            self._orders.pop(viewer, None)
            self._failed.pop(viewer, None)
            former = self._futures.pop(viewer, None)
        if former is not None:
            former[1].cancel()

    def waits_for(self, viewer: str) -> FrameOrder | None:
        """What a viewer asked for and has not got yet."""
        return self._orders.get(viewer)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not self._orders

    def close(self) -> None:
        """Drop everything and end the thread."""
        for viewer in list(self._orders):
            self.drop(viewer)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._bell.put(None)
            thread.join(END_S)

    def _run(self) -> None:
        while (viewer := self._bell.get()) is not None:
            with self._lock:
                order = self._orders.get(viewer)
                former = self._futures.get(viewer)
            if order is None or (former is not None and former[0] == order):
                continue
            if former is not None:
                former[1].cancel()
            try:
                future = self._client_of().submit_shot(job_of(order, "interactive"))
            except ImpastoError as error:
                self._end(viewer, order, error)
                continue
            with self._lock:
                wanted = self._orders.get(viewer) == order
                if wanted:
                    self._futures[viewer] = (order, future)
            if wanted:
                future.add_done_callback(partial(self._done, viewer, order))
            else:
                future.cancel()

    def _done(self, viewer: str, order: FrameOrder, future: Future[ShotDone]) -> None:
        error = future.exception()
        self._end(viewer, order, error if isinstance(error, ImpastoError) else None)

    def _end(self, viewer: str, order: FrameOrder, error: ImpastoError | None) -> None:
        with self._lock:
            current = self._orders.get(viewer) == order
            if current:
                del self._orders[viewer]
                self._futures.pop(viewer, None)
                self._failed.pop(viewer, None)
                if error is not None:
                    self._failed[viewer] = (order, self._clock())
        if current or error is None:
            self._told(Told(viewer, order, error))


class RenderWait:
    """Frames for a final render: asked for some ahead, and waited for one at a time."""

    def __init__(self, client_of: Callable[[float], Client], clock: Callable[[], float] = time.monotonic) -> None:
        self._client_of, self._clock = client_of, clock
        self._ahead: dict[str, tuple[FrameOrder, ShotFuture]] = {}

    def frame(self, viewer: str, look: LiveLook, frames: LiveFrames, number: int, last: int, budget_s: float) -> None:
        """Return when the frame is there. Those after it, up to `last`, are asked for with it.

        Raises DeadlineExpired beyond the budget, else what painting it raises. A server that is lost is found, or
        started, again within the budget.
        """
        until = self._clock() + budget_s
        trouble: ImpastoError | None = None
        while not frames.has(number):
            left = until - self._clock()
            if left <= 0:
                why = f" ({trouble})" if trouble is not None else ""
                raise DeadlineExpired(
                    f"expected frame {number} of '{look.input}' to be painted within {budget_s:g} s, it was not{why}; "
                    "allow more time, or make the live strip cached before the render"
                )
            try:
                self._wait(viewer, look, frames, number, last, left)
            except (ServerUnreachable, ServerBusy) as error:
                trouble = error
                self._ahead.pop(viewer, None)
                threading.Event().wait(min(LOOK_S, left))

    def drop(self) -> None:
        """Take back what is still under way, because the render has ended."""
        for _, future in self._ahead.values():
            future.cancel()
        self._ahead.clear()

    def _wait(self, viewer: str, look: LiveLook, frames: LiveFrames, number: int, last: int, left_s: float) -> None:
        order, future = self._ahead.get(viewer, (None, None))
        if order is None or future is None or not order.covers(frames, number):
            if future is not None:
                future.cancel()
            end = number if look.animated else frames.run_from(number, last)
            order = FrameOrder(look, frames, number, end)
            future = self._client_of(left_s).submit_shot(job_of(order, "interactive"), timeout_s=left_s)
            self._ahead[viewer] = (order, future)
        try:
            event = future.next_event(min(LOOK_S, left_s))
        except queue.Empty:
            return
        if event is None:
            del self._ahead[viewer]
            future.result(0)  # raises what went wrong
            if not frames.has(number):
                raise RequestCancelled(
                    f"expected frame {number} of '{look.input}', the server painted {order.first} to {order.last} "
                    "without it; check the range of the strip"
                )
