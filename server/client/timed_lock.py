"""A lock that is waited for with a time limit and that Ctrl-C cannot leave held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

POLL_S: Final = 0.1

Result = TypeVar("Result")


class TimedLock:
    """Runs what must not run twice at once, one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Entered by itself, not through the condition: Ctrl-C cannot come between having it and its block."""
        self._released = threading.Condition(self._lock)
        self._holder = 0

    def run(self, work: Callable[[], Result], timeout_s: float, busy: Callable[[], Exception]) -> Result:
        """The result of `work`; raises what `busy` gives where another thread holds the lock for so long."""
        # Ctrl-C may come between having the lock and any note of it, and in the middle of giving it back.
        try:
            try:
                if not self._acquire(timeout_s):
                    raise busy()
                return work()
            finally:
                self._release()
        finally:
            self._release()

    def _acquire(self, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        with self._lock:
            while self._holder:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._released.wait(min(POLL_S, left))
            self._holder = threading.get_ident()
            return True

    def _release(self) -> None:
        """Let another thread have it; nothing happens where this thread does not hold it."""
        with self._lock:
            if self._holder == threading.get_ident():
                self._holder = 0
                self._released.notify()
