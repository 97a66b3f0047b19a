"""What a client gets for a request: a future, and behind it the result."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from impasto.core.errors import DeadlineExpired, ImpastoError, RequestCancelled, ServerError
from impasto.server.client.ring import TakenPair
from impasto.server.protocol.codec import Part
from impasto.server.protocol.compression import unpack_samples
from impasto.server.protocol.errors import error_of
from impasto.server.protocol.messages import (
    Cancelled,
    Done,
    Expired,
    Failed,
    Queued,
    ShotDone,
    ShotEvent,
    Submit,
    SubmitShot,
    Terminal,
)
from impasto.server.protocol.pixels import picture_bytes, view_of

Samples: TypeAlias = npt.NDArray[Any]
ShotFutureEvent: TypeAlias = Queued | ShotEvent | Failed | Cancelled

CANCELLED_BECAUSE = {
    "asked": "it was cancelled",
    "superseded": "a newer request of the same viewer took its place",
    "session": "the session ended before it was painted",
    "shutdown": "the server was shut down; submit it again",
}


class FrameResult:
    """A painted frame.

    `pixels` is (height, width, channels) with the rows in the order in which they were sent, and the sender's dtype.
    In shared memory it is a view that stays as it is until `release` is called, or until nobody holds an array of it
    any more; three of them at once keep all pairs of slots busy. `copy` gives pixels of the caller's own.
    """

    def __init__(self, pixels: Samples, done: Done, give_back: Callable[[], object] | None = None) -> None:
        self._pixels: Samples | None = pixels
        self._give_back = give_back
        self.done = done

    @property
    def pixels(self) -> Samples:
        """The painted samples. Raises ServerError after `release`."""
        if self._pixels is None:
            raise ServerError("expected the pixels of a result before its release; call copy() first to keep them")
        return self._pixels

    def copy(self) -> Samples:
        """The painted samples in memory of the caller's own."""
        return self.pixels.copy()

    def release(self) -> None:
        """Let the server paint into this memory again. Arrays that were taken from `pixels` become another frame."""
        self._pixels = None
        if self._give_back is not None:
            self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class FrameFuture(Future[FrameResult]):
    """A frame that is being painted. Callbacks run in the transport's thread: they must not wait for the server."""

    def __init__(
        self, id: bytes, cancel: Callable[[bytes], None], require_may_wait: Callable[[], None] = lambda: None
    ) -> None:
        """`require_may_wait` raises UsageError where a wait would not end."""
        super().__init__()
        self.id = id
        self._cancel, self._require_may_wait = cancel, require_may_wait
        self.set_running_or_notify_cancel()

    def result(self, timeout: float | None = None) -> FrameResult:
        """The painted frame. Raises what befell it, TimeoutError after so many seconds."""
        if not self.done():
            self._require_may_wait()
        return super().result(timeout)

    def cancel(self) -> bool:
        """Ask the server to drop the frame; whether it was still under way.

        `result` then raises RequestCancelled, unless the frame was finished sooner.
        """
        if self.done():
            return False
        self._cancel(self.id)
        return True


class ShotFuture(Future[ShotDone]):
    """A shot that is being rendered. `next_event` tells how far it is."""

    def __init__(self, id: bytes, cancel: Callable[[bytes], None]) -> None:
        super().__init__()
        self.id = id
        self._cancel = cancel
        self._events: queue.SimpleQueue[ShotFutureEvent | None] = queue.SimpleQueue()
        self.set_running_or_notify_cancel()

    def cancel(self) -> bool:
        """Ask the server to stop after the frames that are begun; whether the shot was still under way."""
        if self.done():
            return False
        self._cancel(self.id)
        return True

    def next_event(self, timeout_s: float) -> ShotFutureEvent | None:
        """The next thing that happened, None when the shot has ended. Raises `queue.Empty` after `timeout_s`."""
        return self._events.get(timeout=timeout_s)

    def add_event(self, event: ShotFutureEvent | None) -> None:
        """Add an event for `next_event`; None is the last."""
        self._events.put(event)


@dataclass(slots=True)
class FrameRequest:
    """A frame request that has no terminal message yet."""

    message: Submit
    parts: Sequence[Part]
    future: FrameFuture
    pair: TakenPair | None = None
    sent_at: float = 0.0
    alone: bool = False
    """Nothing else was under way when it was sent, so that its time says something about the connection."""

    def note(self, event: Queued | ShotEvent) -> None:
        """Pass on news that are not the end: a frame has no use for them."""

    def end(self, message: Terminal, parts: Sequence[Part]) -> None:
        """Give the future its result or error, and the pair back where the result does not need it."""
        try:
            if isinstance(message, Done):
                self.future.set_result(self._result(message, parts))
            else:
                self.fail(_error(message))
        except ImpastoError as error:
            self.fail(error)

    def fail(self, error: ImpastoError) -> None:
        """End without a result."""
        self._free_pair()
        if not self.future.done():
            self.future.set_exception(error)

    def _result(self, done: Done, parts: Sequence[Part]) -> FrameResult:
        picture = self.message.picture
        if picture.bottom_up:
            picture = replace(picture, bottom_up=False)  # rows in the order in which they were sent
        if not done.inline:
            if self.pair is None:
                raise ServerError("expected the samples of the result behind the message, got none; submit it again")
            lent, back = self.pair.lend()
            return FrameResult(view_of(picture, lent.data), done, back)
        if len(parts) != 1:
            raise ServerError(f"expected the samples of the result in one part, got {len(parts)}; submit it again")
        expected = picture_bytes(picture)
        if done.encoding != "raw":
            unpacked = np.empty(expected, np.uint8)
            unpack_samples(parts[0], done.encoding, unpacked.data)
            samples: Part = unpacked.data
        else:
            samples = memoryview(parts[0])
            if samples.nbytes != expected:
                raise ServerError(f"expected {expected} bytes of result, got {samples.nbytes}; submit it again")
        result = FrameResult(view_of(picture, samples), done)
        self._free_pair()
        return result

    def _free_pair(self) -> None:
        if self.pair is not None:
            self.pair.give_back()


@dataclass(slots=True)
class ShotRequest:
    """A shot job that has no terminal message yet."""

    message: SubmitShot
    future: ShotFuture
    parts: Sequence[Part] = field(default=())

    def note(self, event: Queued | ShotEvent) -> None:
        """Pass on news that are not the end."""
        self.future.add_event(event)

    def end(self, message: Terminal, parts: Sequence[Part]) -> None:
        """Give the future its result or error."""
        if isinstance(message, ShotDone):
            self.future.set_result(message)
            self.future.add_event(None)
            return
        if isinstance(message, Failed | Cancelled):
            self.future.add_event(message)
        self.fail(_error(message))

    def fail(self, error: ImpastoError) -> None:
        """End without a result."""
        self.future.set_exception(error)
        self.future.add_event(None)


Pending: TypeAlias = FrameRequest | ShotRequest


def _error(message: Terminal) -> ImpastoError:
    if isinstance(message, Failed):
        return error_of(message.error)
    if isinstance(message, Cancelled):
        return RequestCancelled(f"the request was not finished: {CANCELLED_BECAUSE[message.reason]}")
    if isinstance(message, Expired):
        return DeadlineExpired(f"the deadline passed {message.late_s:.3g} s before the frame was painted; allow more")
    return ServerError(f"expected the end of another kind of request, got '{message.TYPE}'; upgrade the older side")
