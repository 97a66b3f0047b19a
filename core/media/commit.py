"""A result appears under its final name whole, or not at all.

Temporary file in the same folder → checked write (the caller) → fsync → rename → fsync of the folder.

The temporary name says which process of which machine writes it and when that began, so that what a killed one left
behind is known, also where another process has its number by now.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from impasto.core.errors import NoSpace, OutputError, OutputExists
from impasto.core.media.held_folder import open_file

_TEMPORARY = re.compile(
    r"\.(?P<stem>.*)\.(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})(-(?P<begun>[0-9a-f]{8}))?-[0-9a-f]{8}\.part"
    r"(?P<extension>\.\w+|)"
)
_LONGEST_STEM = 180
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
    begun = _begun(os.getpid())
    own = "-".join([_host(), str(os.getpid()), *([begun] if begun else []), secrets.token_hex(4)])
    return os.path.join(folder, f".{stem[:_LONGEST_STEM]}.{own}.part{extension}")


def remove_abandoned(folder: str, belongs: Callable[[str], bool]) -> list[str]:
    """Remove the temporary files that killed processes of this machine left in a folder; the paths of those removed.

    `belongs` says whether a final name is one of the result's. Files of another machine or container are left alone,
    because nobody here can tell whether they are still written, as is everything that cannot be removed.
    """
    removed: list[str] = []
    if os.name != "posix":  # elsewhere a process cannot be looked for without a library
        return removed
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return removed
    for name in names:
        made = _made_for(name)
        if made is None:
            continue
        final, host, pid, begun = made
        if host != _host() or not belongs(final) or _lives(pid, begun):
            continue
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            os.unlink(path)
            removed.append(path)
    return removed


def _made_for(name: str) -> tuple[str, str, int, str | None] | None:
    """The final name that a temporary file was to get, and the machine, process and `_begun` of what wrote it."""
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return None
    final = found["stem"] + found["extension"]
    # A temporary file may have one of its own beside it, as exact integers in EXR do.
    inner = _made_for(final)
    return inner if inner is not None else (final, found["host"], int(found["pid"]), found["begun"])


@cache
def _host() -> str:
    """Eight digits for the machine and, in a container, for the container: where a process number means something."""
    facts = [socket.gethostname()]
    for source in ("/etc/machine-id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            facts.append(os.readlink(source) if os.path.islink(source) else Path(source).read_text(encoding="utf-8"))
    return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()[:8]


def _begun(pid: int) -> str | None:
    """Eight digits for the boot and the time in it at which a process began; None where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return hashlib.sha256(f"{boot} {facts.rpartition(')')[2].split()[19]}".encode()).hexdigest()[:8]
    except (OSError, IndexError):
        return None


def _lives(pid: int, begun: str | None) -> bool:
    """Whether the process of this number is there, and is the one that began then, as far as that can be told."""
    now = _begun(pid)
    if begun is not None and now is not None and now != begun:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    # A process that was killed keeps its number until its parent has looked, which in a container may be never.
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return True


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
        with open(temporary, "ab", opener=open_file) as stream:
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
            with open(temporary, "wb", opener=open_file) as stream:
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
    descriptor = os.open(path, os.O_RDONLY) if os.path.isdir(path) else open_file(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
