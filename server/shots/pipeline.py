"""The threads of a shot: frames are read ahead of the one that renders them, and written behind it."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Generic, Self, TypeVar

from impasto.core.frame import Frame
from impasto.core.media import Writer
from impasto.server.shots.codec_cpu import CodecCpu

Item = TypeVar("Item")

WAIT_S = 0.1
"""The longest wait of either side before it checks whether the other has left."""
LEAVE_S = 15.0
"""The longest wait for a source that hangs, when the block is left: more than a camera or stream takes to give up."""


_NUMBERS = itertools.count()
"""Tell the threads of shots apart that run at once."""
DECODERS = r"av:\w+:df\d+"
"""What FFmpeg calls the threads of a decoder."""


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


class _End:
    pass


class ReadAhead(Generic[Item]):
    """The items of a generator that runs in a thread, with at most `depth` items waiting and one in the making.

    The thread starts with the `with` block and has ended when the block is left. The generator is closed in the thread
    that ran it, so a reader opened inside it has one owner. `take` raises what the generator raised, as it is, after
    the items that came before.
    """

    def __init__(self, items: Generator[Item, None, None], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _Raised | _End] = queue.Queue(depth)
        self._left = threading.Event()
        self.cpu_s = 0.0
        """Processor seconds of the thread and of a decoder's threads, so far."""
        # A daemon, because a driver that never returns must not keep the program from ending.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._produce,), name="impasto-read-ahead", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join(LEAVE_S)

    def take(self, stopped: Callable[[], bool]) -> Iterator[Item]:
        """Every item, in order; ends early once `stopped` says so. Raises what the generator raised."""
        while not stopped():
            try:
                item = self._queue.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            if isinstance(item, _Raised):
                raise item.error
            yield item

    def _produce(self) -> None:
        last: _Raised | _End = _End()
        cpu = CodecCpu(f"impasto-r{next(_NUMBERS)}", DECODERS)
        try:
            for item in self._items:
                self.cpu_s = cpu.seconds()
                if not self._offer(item):
                    break
        except BaseException as error:  # noqa: BLE001  # raised again where the item would have been taken
            last = _Raised(error)
        finally:
            self._items.close()
        self.cpu_s = cpu.seconds()
        self._offer(last)

    def _offer(self, item: Item | _Raised | _End) -> bool:
        """Wait for room; False once the block was left."""
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=WAIT_S)
            except queue.Full:
                continue
            return True
        return False


class _Signal(Enum):
    FINISH = "finish"
    STOP = "stop"


class _StoppedError(Exception):
    """Makes the writer close as after an error: there are fewer frames than were promised."""


class WriteBehind:
    """A writer run in a thread, with at most `depth` frames waiting.

    The thread owns the writer from the start of the `with` block to its end. Leaving the block waits until every frame
    that was put is stored; after an exception the writer closes as after an error, so that a movie does not appear
    under its final name. An error of the writer is raised by the next `put`, or on leaving, as it is; an error of the
    block itself goes first.
    """

    def __init__(self, writer: Writer, depth: int) -> None:
        self._writer = writer
        self._queue: queue.Queue[Frame | _Signal] = queue.Queue(depth)
        self._stored: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self.cpu_s = 0.0
        """Processor seconds of the thread and of an encoder's threads, so far. While the writer closes, and its encoder
        empties what it holds back, those of the whole process: no frame is painted any more then."""
        # Not a daemon: the interpreter must not end between a frame's last byte and its final name.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._write,), name="impasto-write-behind", daemon=False
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enqueue(_Signal.FINISH if error is None else _Signal.STOP)
        while self._thread.is_alive():
            self._thread.join(WAIT_S)
        if error is None and self._error is not None:
            raise self._error

    def put(self, frame: Frame) -> None:
        """Hand over one frame, waiting for room. Raises the error that an earlier frame met."""
        self._enqueue(frame)
        if self._error is not None:
            raise self._error

    def stored(self) -> list[tuple[int, str | None]]:
        """Number and path of the frames stored since the last call, in order; None as `Writer.write` has it."""
        found = []
        while not self._stored.empty():
            found.append(self._stored.get_nowait())
        return found

    def _enqueue(self, item: Frame | _Signal) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(item, timeout=WAIT_S)
            except queue.Full:
                continue
            return

    def _write(self) -> None:
        cpu = CodecCpu(f"impasto-w{next(_NUMBERS)}")
        closing = 0.0
        try:
            with self._writer:
                while True:
                    item = self._queue.get()
                    if isinstance(item, _Signal):
                        self.cpu_s, closing = cpu.seconds(now=True), time.process_time()
                    if item is _Signal.FINISH:
                        return
                    if isinstance(item, _Signal):
                        raise _StoppedError
                    self._stored.put((item.number, self._writer.write(item)))
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that puts
            self._error = error
        finally:
            self.cpu_s += time.process_time() - closing if closing else 0.0
