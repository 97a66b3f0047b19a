"""Work that would keep the front from its sockets: copies of pixels, memory that has to be allocated, large answers.

A few threads do it; what follows is done by the loop again, which is woken by a pipe.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")
THREADS = 2
"""Copies run at the speed of memory, which more threads do not raise."""


def _raise(error: Exception) -> None:
    raise error


class Errands:
    """Runs functions in threads, and what follows on them in the thread that calls `settle`."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, "errand")
        self._over: deque[Callable[[], None]] = deque()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """To be polled: readable when `settle` has something to do."""
        return self._read

    def run(self, errand: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do this in a thread; afterwards `settle` calls `then` with the finished future."""

        def done(future: Future[Result]) -> None:
            self._over.append(lambda: then(future))
            with contextlib.suppress(OSError):  # full, so the loop will wake anyway; or closed, so nobody waits
                os.write(self._write, b"!")

        self._pool.submit(errand).add_done_callback(done)

    def settle(self, trouble: Callable[[Exception], object] = _raise) -> None:
        """Call what follows on the errands that are done; what goes wrong there is handed over, and the next called."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        while self._over:
            try:
                self._over.popleft()()
            except Exception as error:  # noqa: BLE001  # one errand's trouble is not the others'
                trouble(error)

    def close(self) -> None:
        """Wait for what runs, call what follows on it, and drop what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.settle()
        os.close(self._read)
        os.close(self._write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
