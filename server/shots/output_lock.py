"""A lock beside an output, so that two processes never make the same result.

Each process that writes has a hidden file of its own beside its output, which says who it is and which frames it makes,
and holds the system's lock on it. So the lock ends with the process, however that dies; what it leaves is removed by
whoever comes next. Processes that make other frames of the same sequence do not meet.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from impasto.core.errors import OutputError
from impasto.server.runtime_dir import take_lock

ENDING = ".lock"
LONGEST_NAME = 150
RECORD_BYTES = 4096
WAIT_S = 1.0
"""How long the one before may take to let go: a host cancels a job and starts the next at once."""
POLL_S = 0.05
EVERY_FRAME = (-(1 << 62), 1 << 62)


@dataclass(frozen=True, slots=True)
class OutputWriter:
    """A process that makes frames of an output."""

    host: str
    pid: int
    first: int
    last: int


class OutputLock:
    """The lock of one run on its output. `take` may be called once, `release` any number of times."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._path = ""

    def take(self, output: str, frames: tuple[int, int] = EVERY_FRAME, *, wait_s: float = WAIT_S) -> None:
        """Hold these frames, first and last, of an output whose folder exists. `output` may be a pattern.

        OutputError, with process and machine, where another run makes one of them. Where the disk has no locks, or the
        folder takes no file, nothing is held: that is no reason not to write, or the writer will say it.
        """
        folder, name = os.path.split(output)
        own = OutputWriter(socket.gethostname(), os.getpid(), *frames)
        until = time.monotonic() + wait_s
        while True:
            with _one_at_a_time(folder):
                other = _other_writer(folder, name, frames)
                if other is None:
                    self._create(folder, name, own)
                    return
            if time.monotonic() >= until:
                raise OutputError(
                    f"expected no other run that writes '{output}', process {other.pid} on '{other.host}' does; wait "
                    "for it, end it, or name another output"
                )
            time.sleep(POLL_S)

    def release(self) -> None:
        """Let the frames go."""
        if self._fd is not None:
            # Removed first: whoever opens it afterwards would find it without a lock and remove it as well.
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = None

    def _create(self, folder: str, name: str, own: OutputWriter) -> None:
        path = os.path.join(folder, f"{_prefix(name)}{own.pid}-{secrets.token_hex(4)}{ENDING}")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError:
            return
        self._fd, self._path = fd, path
        if not take_lock(fd, 0.0):
            self.release()
            return
        try:
            os.write(fd, json.dumps(asdict(own)).encode())
        except OSError:
            self.release()


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold a whole output for the block; see `OutputLock.take`."""
    lock = OutputLock()
    lock.take(output)
    try:
        yield
    finally:
        lock.release()


def _prefix(name: str) -> str:
    return f".{name.encode(errors='surrogateescape')[:LONGEST_NAME].decode(errors='surrogateescape')}."


def _other_writer(folder: str, name: str, frames: tuple[int, int]) -> OutputWriter | None:
    """The process that makes one of these frames; the files of processes that are no more are removed."""
    try:
        names = [each for each in os.listdir(folder or ".") if each.startswith(_prefix(name)) and each.endswith(ENDING)]
    except OSError:
        return None
    for each in names:
        path = os.path.join(folder, each)
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:  # it has ended meanwhile
            continue
        try:
            if take_lock(fd, 0.0, shared=True):
                with contextlib.suppress(OSError):
                    os.unlink(path)
                continue
            writer = _read(fd)
        finally:
            os.close(fd)
        if writer is not None and writer.first <= frames[1] and frames[0] <= writer.last:
            return writer
    return None


def _read(fd: int) -> OutputWriter | None:
    try:
        facts = json.loads(os.read(fd, RECORD_BYTES))
        return OutputWriter(str(facts["host"]), int(facts["pid"]), int(facts["first"]), int(facts["last"]))
    except (OSError, LookupError, RecursionError, TypeError, ValueError):
        return None


@contextlib.contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Hold the folder's own lock, so that of two runs that begin together one comes first, where it has one."""
    try:
        fd = os.open(folder or ".", os.O_RDONLY)
    except OSError:  # Windows does not open folders
        yield
        return
    try:
        take_lock(fd, WAIT_S)
        yield
    finally:
        os.close(fd)
