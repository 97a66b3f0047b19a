"""Painted frames on their way into the store, in a thread of their own, so that nobody who paints waits for a disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from impasto.server.frame_cache.store import FrameStore

WAITING_FRAMES: Final = 8
WAITING_BYTES: Final = 512 << 20
"""Beyond these, frames are not kept: the disk is slower than painting."""


class Keeping:
    """A store, and the thread that writes into it. Made where frames are painted, once a process."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store
        self._waiting: queue.Queue[tuple[str, Sequence[Any], int]] = queue.Queue(WAITING_FRAMES)
        self._lock = threading.Lock()
        self._bytes = 0
        self._thread: threading.Thread | None = None

    def keep(self, name: str, pieces: Sequence[Any]) -> bool:
        """Keep an entry of these pieces soon; returns whether that may come about. Never waits.

        Nothing may write into their memory any more.
        """
        size = sum(memoryview(piece).nbytes for piece in pieces)
        with self._lock:
            if self._bytes + size > WAITING_BYTES:
                return False
            try:
                self._waiting.put_nowait((name, pieces, size))
            except queue.Full:
                return False
            self._bytes += size
            if self._thread is None:
                # A daemon: the process may end at any time, and what is half written then is removed later.
                self._thread = threading.Thread(target=self._write, name="impasto-keep", daemon=True)
                self._thread.start()
        return True

    def settle(self, timeout_s: float) -> bool:
        """Wait until all frames are written; returns whether they are, within the time."""
        until = time.monotonic() + timeout_s
        with self._waiting.all_tasks_done:
            while self._waiting.unfinished_tasks:
                if not self._waiting.all_tasks_done.wait(until - time.monotonic()) and time.monotonic() >= until:
                    return False
        return True

    def _write(self) -> None:
        while True:
            name, pieces, size = self._waiting.get()
            try:
                self.store.put(name, pieces)
            finally:
                del pieces
                with self._lock:
                    self._bytes -= size
                self._waiting.task_done()
