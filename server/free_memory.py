"""How much memory this process may still have."""

from __future__ import annotations

import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def free_memory_bytes() -> int | None:
    """Bytes that the machine leaves, and the limits of a container and of the process where there are any.

    None where nothing can be read.
    """
    found = [free for free in (_of_the_machine(), _of_the_container(), own_memory_bytes()) if free is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    try:
        words = Path("/proc/meminfo").read_text(encoding="ascii").split()
        return int(words[words.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import psutil
    except ImportError:  # inside a host
        return None
    return int(psutil.virtual_memory().available)


def own_memory_bytes() -> int | None:
    """What the limit of this process leaves (`ulimit -v`), None where there is none."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return max(0, limit - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError, IndexError):
        return None


def _of_the_container() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = (_CGROUP / "memory.stat").read_text(encoding="ascii")
        cached = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
        return None if limit == "max" else max(0, int(limit) - used + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):
        return None
