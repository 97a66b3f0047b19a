"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from impasto.hosts.terminal.exit_codes import INTERRUPTED

if sys.platform == "win32":
    # What a program can send another there: CTRL_C reaches everybody at a console, CTRL_BREAK one group.
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """While its `with` block lasts, remembers whether somebody asked to stop.

    The first signal only sets `asked`; whoever works looks at it and finishes what is begun. The
    second ends the process on the spot with the code for an interruption; what is half-written by
    then bears a hidden temporary name.
    """

    def __init__(self, notice: str = "") -> None:
        self._notice = notice
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether the work is to stop."""
        return self._asked

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._heard) for each in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        # A handler may interrupt a print that is under way, so it writes past Python's buffers.
        if self._asked:
            if sys.stderr.isatty():
                os.write(2, SHOW_CURSOR.encode())
            os._exit(INTERRUPTED)
        self._asked = True
        if self._notice:
            os.write(2, f"\n{self._notice}\n".encode())
