"""Signals as something to poll: SIGTERM and SIGINT wake the loop, which asks how often they came."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Self


class Bell:
    """Rings for SIGTERM and SIGINT, from `with` to its end; outside the main thread, which has no handlers, never."""

    def __init__(self) -> None:
        self._count = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, object] = {}

    def fileno(self) -> int:
        """Readable once it rang."""
        return self._read

    def rung(self) -> int:
        """How often since the last time."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 512)
        count, self._count = self._count, 0
        return count

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._ring) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)  # type: ignore[arg-type]  # what `signal` returned it takes back
        os.close(self._read)
        os.close(self._write)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")
