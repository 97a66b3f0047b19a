"""Frames stored in a thread of its own, while the next ones are rendered."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

from impasto.core.frame import Frame
from impasto.core.media import Writer

WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Stored:
    """A frame that is safe, and where."""

    number: int
    path: str


class _Order(Enum):
    FINISH = "finish"
    STOP = "stop"


class _StoppedError(Exception):
    """Tells the writer that there are fewer frames than were promised."""


class WriteBehind:
    """A writer run in a thread, with at most `depth` frames waiting.

    The thread owns the writer from the start of the `with` block to its end. Leaving the block waits
    until every frame that was put is stored; after an exception the writer is told, so that a movie
    does not appear under its final name. What the writer raises is raised by the next `put`, or on
    leaving, as it is; where the block itself failed, that failure goes first.
    """

    def __init__(self, writer: Writer, depth: int) -> None:
        self._writer = writer
        self._queue: queue.Queue[Frame | _Order] = queue.Queue(depth)
        self._stored: queue.SimpleQueue[Stored] = queue.SimpleQueue()
        self._error: BaseException | None = None
        # Not a daemon: the interpreter must not end between a frame's last byte and its final name.
        self._thread = threading.Thread(target=self._write, name="impasto-write-behind", daemon=False)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._order(_Order.FINISH if error is None else _Order.STOP)
        while self._thread.is_alive():
            self._thread.join(WAIT_S)
        if error is None and self._error is not None:
            raise self._error

    def put(self, frame: Frame) -> None:
        """Hand over one frame, waiting for room. Raises what an earlier frame's writing raised."""
        self._order(frame)
        if self._error is not None:
            raise self._error

    def stored(self) -> list[Stored]:
        """The frames stored since the last call, in order."""
        found = []
        while not self._stored.empty():
            found.append(self._stored.get_nowait())
        return found

    def _order(self, order: Frame | _Order) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(order, timeout=WAIT_S)
            except queue.Full:
                continue
            return

    def _write(self) -> None:
        try:
            with self._writer:
                while True:
                    order = self._queue.get()
                    if order is _Order.FINISH:
                        return
                    if isinstance(order, _Order):
                        raise _StoppedError
                    self._stored.put(Stored(order.number, self._writer.write(order)))
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that puts
            self._error = error
