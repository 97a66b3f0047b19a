"""What the front asks the operating system about the files that it may open."""

from __future__ import annotations

import contextlib
import os
import sys


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
