"""What wakes the loop besides sockets: signals, and background work that has finished. Both are files to poll.

Background work is what would keep the loop from its sockets: copies of pixels, memory that has to be allocated, large
answers. A few threads do it; the loop then calls what follows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar

Result = TypeVar("Result")
THREADS: Final = 2
"""Copies run at the speed of memory; more threads do not raise it."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class WakePipe:
    """A file that becomes readable when something is written to it from a thread or a signal handler."""

    def __init__(self) -> None:
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.write_end, False)

    def fileno(self) -> int:
        """To be polled for reading."""
        return self._read

    def wake(self) -> None:
        """Make it readable. Does nothing where it is full or closed."""
        with contextlib.suppress(OSError):
            os.write(self.write_end, b"\0")

    def drain(self) -> bytes:
        """What was written since the last time; nothing where there is nothing."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._read, 4096)
        return b""

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read)
        os.close(self.write_end)


class StopSignals:
    """Catches SIGTERM and SIGINT within its `with` block; outside the main thread, which has no handlers, nothing."""

    def __init__(self) -> None:
        self._pipe = WakePipe()
        self._handlers: dict[signal.Signals, Any] = {}
        self._fd = -1

    def fileno(self) -> int:
        """Readable once a signal came."""
        return self._pipe.fileno()

    def count(self) -> int:
        """How many came since the last time."""
        return sum(number in _SIGNALS for number in self._pipe.drain())

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {each: signal.signal(each, lambda *_: None) for each in _SIGNALS}
            self._fd = signal.set_wakeup_fd(self._pipe.write_end, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handlers:
            signal.set_wakeup_fd(self._fd)
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        self._pipe.close()


class BackgroundWork:
    """Runs functions in threads, and calls what follows in the thread that calls `run_callbacks`."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, "background")
        self._finished: deque[Callable[[], None]] = deque()
        self._pipe = WakePipe()

    def fileno(self) -> int:
        """Readable when `run_callbacks` has something to do."""
        return self._pipe.fileno()

    def run(self, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do this in a thread; then `run_callbacks` calls `then` with the finished future.

        `then` is not called for work that had not begun when this was closed.
        """

        def finished(future: Future[Result]) -> None:
            if not future.cancelled():
                self._finished.append(lambda: then(future))
                self._pipe.wake()

        self._pool.submit(work).add_done_callback(finished)

    def run_callbacks(self, on_error: Callable[[Exception], object] | None = None) -> None:
        """Call what follows on finished work. Without `on_error` an exception of a callback is raised."""
        self._pipe.drain()
        while self._finished:
            try:
                self._finished.popleft()()
            except Exception as error:
                if on_error is None:
                    raise
                on_error(error)

    def close(self) -> None:
        """Drop what has not begun, wait for what runs, and call what follows on it."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.run_callbacks()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows: every client takes a few."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_files() -> int:
    """How many more files this process may open; many where the system does not say."""
    if not os.path.isdir("/proc/self/fd"):
        return 1 << 16
    import resource

    try:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
