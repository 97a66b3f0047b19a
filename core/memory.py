"""Memory that is asked for again with every frame."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30


def keep_freed_pages() -> bool:
    """Let this process reuse the memory of the last frame instead of faulting fresh pages in for the next.

    glibc hands large blocks back to the kernel when they are freed and gets them zeroed again,
    page by page; with frames of many megabytes that costs more than some of the convolutions. Says
    whether it could be set: on other C libraries nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, 2 * KEEP_BYTES - 1))
