"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from impasto.hosts.terminal.exit_codes import INTERRUPTED

if sys.platform == "win32":
    # CTRL_C reaches every process at a console; a program can send CTRL_BREAK to one process group.
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Inside its `with` block, notes the request to stop.

    The first signal only makes `asked` true; the work checks it and finishes the frame or step in progress. The second
    ends the process at once with the code for an interruption; a half-written file has a hidden temporary name.
    """

    def __init__(self, notice: str = "") -> None:
        self._notice = notice
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether a signal asked the work to stop."""
        return self._asked

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._on_signal) for each in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # The handler may interrupt a print, so it bypasses Python's buffers.
        if self._asked:
            if sys.stderr.isatty():
                os.write(2, SHOW_CURSOR.encode())
            os._exit(INTERRUPTED)
        self._asked = True
        if self._notice:
            os.write(2, f"\n{self._notice}\n".encode())
