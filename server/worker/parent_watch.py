"""A worker never outlives the front: three ways of dying with it, of which each covers for the others."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
FIRST_TO_DIE: Final = 500
"""oom_score_adj: where the machine runs out of memory, a worker goes before the front, which replaces it."""


def die_with_parent(file: int) -> None:
    """End this process, whatever it is doing, when its parent ends or closes the other end of this socket.

    Where the kernel has no word for it, a thread sees the socket close; it may be held up by a library that keeps the
    interpreter for itself, and the kernel's signal is not. Ctrl-C in a terminal reaches this process too and is left
    to the front, which decides what becomes of the work; SIGTERM ends it at once.
    """
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_DIE), encoding="ascii")
    if hasattr(select, "poll"):
        threading.Thread(target=_leave_with, args=(file,), name="impasto-lifeline", daemon=True).start()


def _leave_with(file: int) -> None:
    """Wait for the other end to close, reading nothing, and leave."""
    poll = select.poll()
    poll.register(file, getattr(select, "POLLRDHUP", 0))  # a hang-up is always reported
    while True:
        for _, events in poll.poll():
            if events & (getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL):
                os._exit(0)
