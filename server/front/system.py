"""What the front asks the operating system: about other processes, and about the files that it may open."""

from __future__ import annotations

import contextlib
import os
import sys


def has_ended(pid: int) -> bool:
    """Whether a process of this machine is there no more; False where that cannot be told."""
    if pid <= 0 or sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # a client may claim a number that no process can have
        return False
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] in "ZX"  # ended, though its parent has not looked yet
    except (OSError, IndexError):
        return False


def raise_file_limit() -> None:
    """As many open files as the system lets us have: every client takes a few."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_files() -> int:
    """How many files this process may still open."""
    if sys.platform != "linux":
        return 1 << 16
    import resource

    try:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
