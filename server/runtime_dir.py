"""The runtime folder of a user's server: where it is, who holds it, and what is in it.

    server.lock    the server holds it as long as it lives, and writes into it who it is, as JSON
    control.sock   the two sockets
    data.sock
    launch.lock    a process that starts a server holds it
    server.log     the output of a server that was started in the background

Only the user can open the folder (mode 0700), so a process that reaches the sockets belongs to the same user.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from impasto.core.errors import NotPermitted, ServerError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass

CONTROL, DATA, LOCK, LAUNCH, LOG = "control.sock", "data.sock", "server.lock", "launch.lock", "server.log"
TCP = re.compile(r"tcp://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+):(?P<port>[0-9]{1,5})", re.IGNORECASE)
"""The address of a server that listens on a network."""

SOCKET_PATH_BYTES: Final = 103
"""The shortest limit of any system on the path of a socket (macOS; Linux allows 107)."""
RECORD_BYTES: Final = 4096
LOCK_WAIT_S: Final = 0.5
"""How long a server tries to get the lock. A process that only asks who holds it takes it for an instant."""


@frozen_dataclass
class Owner:
    """The server that holds a runtime folder."""

    pid: int
    version: str
    """'impasto 0.2.0'"""
    boot: str
    """Hexadecimal; changes with every start."""
    since: float
    """Seconds of the epoch."""
    listen: str = ""
    """Where it listens for other machines; empty where it does not."""


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of a user's server: $IMPASTO_RUNTIME, $XDG_RUNTIME_DIR/impasto-server, or one in the temp folder."""
    if named := environ.get("IMPASTO_RUNTIME"):
        return Path(named).absolute()
    if session := environ.get("XDG_RUNTIME_DIR"):
        return Path(session).absolute() / "impasto-server"
    user = str(os.getuid()) if sys.platform != "win32" else environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()).absolute() / f"impasto-{user}"


def prepare_folder(path: Path) -> Path:
    """Make the folder if it does not exist, and check that no other user can open it.

    Raises NotPermitted for a folder of another user, one that others can open, and a link; UsageError for a path that
    is too long for a socket.
    """
    if sys.platform != "win32" and len(os.fsencode(path / CONTROL)) > SOCKET_PATH_BYTES:
        raise UsageError(
            f"expected a runtime folder of at most {SOCKET_PATH_BYTES - len(CONTROL) - 1} bytes, because a socket's "
            f"path may be no longer, got '{path}'; name a shorter one in IMPASTO_RUNTIME"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
    except OSError as error:
        raise NotPermitted(
            f"expected a runtime folder at '{path}', got: {error.strerror}; name another one in IMPASTO_RUNTIME"
        ) from error
    if sys.platform == "win32":
        return path
    if not stat.S_ISDIR(facts.st_mode):
        raise NotPermitted(f"expected a folder at '{path}', found a link or a file; remove it")
    if facts.st_uid != os.geteuid():
        raise NotPermitted(
            f"expected the runtime folder '{path}' to belong to user {os.geteuid()}, it belongs to {facts.st_uid}; "
            f"name another one in IMPASTO_RUNTIME"
        )
    if facts.st_mode & 0o077:
        raise NotPermitted(
            f"expected nobody else to reach into '{path}' (mode 0700), found mode {facts.st_mode & 0o777:04o}; "
            f"run: chmod 700 '{path}'"
        )
    return path


def control_endpoint(folder: Path) -> str:
    """The address of the control socket of this folder's server."""
    return f"ipc://{folder / CONTROL}"


def data_endpoint(folder: Path) -> str:
    """The address of the data socket of this folder's server."""
    return f"ipc://{folder / DATA}"


def log_path(folder: Path) -> Path:
    """The file with the output of a server that was started in the background."""
    return folder / LOG


@contextmanager
def hold_lock(folder: Path, owner: Owner) -> Iterator[None]:
    """Become the server of this folder: take its lock, remove the sockets of a dead server, write who holds the lock.

    Raises ServerError, which names the other server, if one already runs. The system frees the lock when the process
    ends, however it ends.
    """
    with _opened(folder / LOCK) as fd:
        if not take_lock(fd, LOCK_WAIT_S):
            first = _recorded(fd)
            who = f"process {first.pid}, {first.version}" if first else "it has only just started"
            raise ServerError(
                f"a server already runs in '{folder}' ({who}); use it, end it with `impasto stop`, or name another "
                f"folder in IMPASTO_RUNTIME"
            )
        for name in (CONTROL, DATA):
            (folder / name).unlink(missing_ok=True)
        _record(fd, owner)
        try:
            yield
        finally:
            for name in (CONTROL, DATA):
                (folder / name).unlink(missing_ok=True)
            os.ftruncate(fd, 0)
            drop_lock(fd)


def running(folder: Path) -> Owner | None:
    """The server that holds this folder now; None if there is none, or if it has not yet written who it is."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR | _FLAGS)
    except OSError:
        return None
    try:
        if take_lock(fd, 0.0, shared=True):
            drop_lock(fd)
            return None
        return _recorded(fd)
    finally:
        os.close(fd)


@contextmanager
def launch_turn(folder: Path, timeout_s: float) -> Iterator[bool]:
    """Hold the lock that a process needs to start a server. Yields False if another held it for all of `timeout_s`."""
    with _opened(folder / LAUNCH) as fd:
        held = take_lock(fd, timeout_s)
        try:
            yield held
        finally:
            if held:
                drop_lock(fd)


def take_lock(fd: int, timeout_s: float, *, shared: bool = False) -> bool:
    """Try to lock an open file until `timeout_s` has passed. Returns whether it is locked."""
    until = time.monotonic() + timeout_s
    while not _try_lock(fd, shared):
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)
    return True


if sys.platform == "win32":  # unverified: nobody has run this branch
    import msvcrt

    _FLAGS: Final = os.O_BINARY | os.O_NOINHERIT
    # On Windows a locked byte cannot be read, so a byte behind the JSON is locked.
    _LOCKED_BYTE: Final = 1 << 20

    def _try_lock(fd: int, shared: bool) -> bool:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def drop_lock(fd: int) -> None:
        """Unlock the file."""
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW

    def _try_lock(fd: int, shared: bool) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def drop_lock(fd: int) -> None:
        """Unlock the file."""
        fcntl.flock(fd, fcntl.LOCK_UN)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """An open lock file, made if it does not exist. It is never removed: then two processes could each lock one."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    except OSError as error:
        raise NotPermitted(f"expected to open '{path}', got: {error.strerror}; remove it") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _record(fd: int, owner: Owner) -> None:
    text = json.dumps(asdict(owner)).encode()
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, text)


def _recorded(fd: int) -> Owner | None:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        facts = json.loads(os.read(fd, RECORD_BYTES))
        return Owner(
            int(facts["pid"]),
            str(facts["version"]),
            str(facts["boot"]),
            float(facts["since"]),
            str(facts.get("listen", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None
