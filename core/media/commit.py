"""A result appears under its final name whole, or not at all.

Temporary file in the same folder → checked write (the caller) → fsync → rename → fsync of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator

from impasto.core.errors import NoSpace, OutputError, OutputExists

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def output_error(path: str, error: OSError) -> OutputError:
    """What an operating system error means for a result: NoSpace for a full disk or quota, else OutputError."""
    if error.errno in _FULL:
        return NoSpace(f"expected room for '{path}', but the disk or quota is full; free some space, then resume")
    return OutputError(f"expected to write '{path}', got '{error.strerror}'; choose another folder or its permissions")


def make_folder(path: str) -> None:
    """Create the folder that a result goes into, with its parents. OutputError where that fails."""
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"expected to write into '{folder}', but it is not permitted; choose another folder")


def temporary_beside(path: str) -> str:
    """A hidden, unique name in the same folder, with the extension kept, by which libraries choose the format."""
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    return os.path.join(folder, f".{stem[:180]}.{os.getpid()}-{secrets.token_hex(4)}.part{extension}")


@contextlib.contextmanager
def committed(path: str, *, replace: bool) -> Iterator[str]:
    """Give a temporary path; on leaving without an exception it becomes `path`, otherwise it is removed.

    `replace` False raises OutputExists if `path` came into being meanwhile. Raises NoSpace or
    OutputError where the file cannot be made durable.
    """
    temporary = temporary_beside(path)
    try:
        yield temporary
        publish(temporary, path, replace=replace)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def publish(temporary: str, path: str, *, replace: bool) -> None:
    """Make a finished temporary file durable and give it its final name; OSError and OutputExists as they come."""
    _sync(temporary)
    if replace:
        os.replace(temporary, path)
    else:
        _rename_unless_there(temporary, path)
    if os.name == "posix":
        _sync(os.path.dirname(path) or ".")


def refuse_if_full(temporary: str, path: str) -> None:
    """Raise NoSpace if the file system takes no more bytes; libraries that fail to write seldom say why."""
    try:
        with open(temporary, "ab") as stream:
            stream.write(b"\0" * (1 << 16))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise output_error(path, error) from error


def require_room(temporary: str, path: str, size: int) -> None:
    """Raise NoSpace unless the file system takes a file of `size` bytes at this moment.

    For libraries that end the whole process when a write fails, as libjpeg does.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            with open(temporary, "wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
        elif shutil.disk_usage(os.path.dirname(temporary) or ".").free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise output_error(path, error) from error


def _rename_unless_there(temporary: str, path: str) -> None:
    """Rename without replacing: a hard link fails where the name is taken, whoever took it in between."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise OutputExists(
            f"expected no file at '{path}', but there is one; give --overwrite or another name"
        ) from None
    except OSError:
        # File systems without hard links (FAT, some network shares) leave a small race open.
        if os.path.lexists(path):
            raise OutputExists(
                f"expected no file at '{path}', but there is one; give --overwrite or another name"
            ) from None
        os.replace(temporary, path)
        return
    os.unlink(temporary)


def _sync(path: str) -> None:
    # Windows syncs only what is open for writing; folders can be opened for reading alone.
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
