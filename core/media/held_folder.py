"""Files in a folder that is held open: nobody can put a link or another folder in its place while a shot uses it.

A path into such a folder is '/proc/self/fd/NUMBER/name', NUMBER being the descriptor of the folder. Any library can
open it, so readers and writers take it like every other path. What is left is the last name, which may itself have
become a link: here it is opened first, without following one, and the library is handed that file. Every other path
is opened as it always was.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DESCRIPTORS: Final = "/proc/self/fd"
"""Where Linux shows the open files of a process; elsewhere there is no such folder."""
_HELD = re.compile(rf"({DESCRIPTORS}/\d+)/(.+)")


def held_path(folder: int, name: str) -> str:
    """The path of a file in the folder that is open as this descriptor."""
    return f"{DESCRIPTORS}/{folder}/{name}"


def real_path(path: str) -> str:
    """The absolute path, by which a file is told and noted; of one in a held folder, where that folder is."""
    held = _HELD.fullmatch(path)
    return os.path.join(os.readlink(held[1]), held[2]) if held else os.path.abspath(path)


def open_file(path: str, flags: int, mode: int = 0o666) -> int:
    """A descriptor as `os.open` gives it, an `opener` of `open`; in a held folder of a plain file of one name alone.

    OSError, as for any other file that cannot be opened.
    """
    if not _HELD.fullmatch(path):
        return os.open(path, flags, mode)
    # A pipe would wait for its other end. What is cut to nothing is so only once it is known.
    fd = os.open(path, (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
            raise OSError(errno.EPERM, "expected a plain file of one name, not a link, a pipe or a device")
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def name_to_open(path: str, *, write: bool = False) -> Iterator[str]:
    """The name under which a library that opens by name meets the very file that `open_file` opened.

    With `write` it is made where it is not there. OSError as `open_file`.
    """
    if not _HELD.fullmatch(path):
        yield path
        return
    fd = open_file(path, (os.O_RDWR | os.O_CREAT) if write else os.O_RDONLY)
    try:
        yield f"{DESCRIPTORS}/{fd}"
    finally:
        os.close(fd)
