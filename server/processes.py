"""What is asked of the operating system about other processes."""

from __future__ import annotations

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


def private_bytes(pid: int) -> int:
    """Memory that a process has for itself; 0 where that cannot be told. Rings are shared and do not count."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            _, resident, shared = map(int, stream.read().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
