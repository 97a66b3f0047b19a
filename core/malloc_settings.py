"""Settings of glibc's malloc, for memory that every frame allocates again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEEP_BYTES = 1 << 30


def keep_freed_pages() -> bool:
    """Let this process reuse the memory of the last frame instead of faulting fresh pages in for the next.

    glibc returns large blocks to the kernel when they are freed and gets them zeroed again,
    page by page; with frames of many megabytes that costs more than some of the convolutions. It keeps
    no large block at all in the arenas of further threads, so all threads share one arena: call
    this before threads start. Returns whether glibc took the settings; another C library does not have them.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((M_MMAP_THRESHOLD, KEEP_BYTES), (M_TRIM_THRESHOLD, 2 * KEEP_BYTES - 1), (M_ARENA_MAX, 1))
    return all(bool(mallopt(name, value)) for name, value in wanted)
