"""Processor time of a thread and of the threads that a codec starts for it, which no clock of Python counts.

x264 does all but a twentieth of its work in threads of its own. On Linux a thread hands its name to those that it
starts, so they are found again by it; decoders of FFmpeg rename theirs to 'av:CODEC:dfN'. Elsewhere the time is that of
the thread alone.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
POLL_S = 0.25
"""Between two looks at the other threads, of which a process has up to a hundred."""
NAME_LETTERS = 15
"""Of a thread's name, on Linux."""


class CodecCpu:
    """The processor seconds of the thread that made this, and of the codec's threads behind it."""

    def __init__(self, name: str, codec: str = "") -> None:
        """Gives the calling thread this name. `codec` is a pattern for names that the codec's threads take."""
        self._own = threading.get_native_id()
        self._name = re.compile(
            f"{re.escape(name[:NAME_LETTERS])}|{codec}" if codec else re.escape(name[:NAME_LETTERS])
        )
        self._before = time.thread_time()
        self._found: dict[str, float] = {}
        """Thread -> its processor seconds when it was last seen; one that has ended keeps them."""
        self._at_start: dict[str, float] = {}
        self._looked = time.monotonic()
        if sys.platform == "linux":
            with suppress(OSError):
                (TASKS / str(self._own) / "comm").write_text(name)
            self._at_start = self._look()

    def seconds(self, *, now: bool = False) -> float:
        """So far. The codec's threads are looked at every `POLL_S`, or `now`. Call it in the thread itself."""
        if sys.platform == "linux" and (now or time.monotonic() - self._looked > POLL_S):
            self._looked = time.monotonic()
            self._found |= self._look()
        others = sum(spent - self._at_start.get(task, 0.0) for task, spent in self._found.items())
        return time.thread_time() - self._before + others

    def _look(self) -> dict[str, float]:
        found = {}
        tick = os.sysconf("SC_CLK_TCK")
        for task in TASKS.iterdir():
            with suppress(OSError):  # it has just ended
                if task.name == str(self._own) or not self._name.fullmatch((task / "comm").read_text().strip()):
                    continue
                # The name in brackets may hold spaces; user and system time are the 14th and 15th field.
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                found[task.name] = (int(fields[11]) + int(fields[12])) / tick
        return found
