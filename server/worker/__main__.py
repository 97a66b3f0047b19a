"""The program of a worker process: `python -m impasto.server.worker --fd N --device NAME`.

The front starts it and holds the other end of socket N. It ends with the front: three ways of dying with it cover for
one another.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from impasto.server.worker_pipe import worker_end

PR_SET_PDEATHSIG: Final = 1
FIRST_TO_DIE: Final = 500
"""oom_score_adj: where the machine runs out of memory, a worker goes before the front, which replaces it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve the front until it is gone. Leaves with 0, 1 where the device is not there, or 86 where it failed."""
    parser = argparse.ArgumentParser(prog="impasto.server.worker", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="number of the open socket to the front")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:N or mps")
    parser.add_argument("--cache-bytes", type=int, default=None, help="bytes of styles to keep loaded")
    parser.add_argument("--cache", default="", help="painted frames to keep: a size, read-only or off")
    asked = parser.parse_args(arguments)
    die_with_parent(asked.fd)
    link = worker_end(asked.fd)
    # Before torch is loaded: waiting threads leave their core to those that read and write pictures.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from impasto.core.malloc_settings import keep_freed_pages

    keep_freed_pages()
    from impasto.server.worker.device import TorchDevice
    from impasto.server.worker.loop import work

    # Not `sys.exit`: threads that paint are left in the middle of their work, as after a kill.
    os._exit(work(link, TorchDevice(asked.device, asked.cache_bytes, asked.cache)))


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
        threading.Thread(target=_leave_with, args=(file,), name="impasto-parent-watch", daemon=True).start()


def _leave_with(file: int) -> None:
    """Wait for the other end to close, reading nothing, and leave."""
    poll = select.poll()
    poll.register(file, getattr(select, "POLLRDHUP", 0))  # a hang-up is always reported
    while True:
        for _, events in poll.poll():
            if events & (getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL):
                os._exit(0)


if __name__ == "__main__":
    main()
