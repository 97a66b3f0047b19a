"""A mark on a picture that was written or decoded to its end, so that nobody has to decode it again to know that.

It is an extended attribute that holds inode, size and time of change of the file: a copy, a file cut short and one that
was written into since bear no mark that fits. Where the file system has no such attributes nothing is marked.
"""

from __future__ import annotations

import contextlib
import os
import sys

NAME = "user.impasto.whole"


def mark_whole(path: str) -> None:
    """Mark a file as it is now; where that cannot be done, leave it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setxattr(path, NAME, _identity(path), follow_symlinks=False)


def is_marked_whole(path: str) -> bool:
    """Whether a file is the one that was marked, unchanged."""
    if sys.platform != "linux":
        return False
    try:
        return os.getxattr(path, NAME, follow_symlinks=False) == _identity(path)
    except OSError:
        return False


def _identity(path: str) -> bytes:
    facts = os.lstat(path)
    return f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns}".encode()
