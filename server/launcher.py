"""Start a server in the background and wait until it is ready."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from impasto.core.errors import ServerUnreachable
from impasto.server.runtime_dir import CONTROL, DATA, Owner, launch_turn, log_path, prepare_folder, running

IDLE_EXIT_S: Final = 900
ARGUMENTS: Final = ("serve", "--idle-exit", str(IDLE_EXIT_S))
MODULE: Final = "impasto.hosts.terminal"
POLL_S: Final = 0.02
TAIL_BYTES: Final = 8192
LINE_LETTERS: Final = 400
_PYTHON = re.compile(r"(python|pypy)[0-9.]*w?(\.exe)?", re.IGNORECASE)


def launch(folder: Path, command: Sequence[str] | None = None, timeout_s: float = 20.0) -> Owner:
    """Start a server in the folder if none runs there, and return which one runs.

    It is detached: it outlives this process, reads no input, and appends its output to the folder's log. If several
    processes call this at once, one of them starts it. Raises ServerUnreachable, with the last line of the log, if the
    server is not ready in time, and then ends it.
    """
    until = time.monotonic() + timeout_s
    prepare_folder(folder)
    with launch_turn(folder, timeout_s) as mine:
        # The process that held the lock before may just have started one.
        if (owner := _ready(folder)) is not None:
            return owner
        if not mine:
            raise ServerUnreachable(
                f"expected the server that another program starts in '{folder}' within {timeout_s:g} s, it did not "
                f"come up{_quoted(folder)}"
            )
        if running(folder) is not None:  # started by hand a moment ago
            return _await(folder, None, until, timeout_s)
        started = _start(folder, command if command is not None else default_command())
        try:
            return _await(folder, started, until, timeout_s)
        except BaseException:
            _end(started)
            raise


def default_command(executable: str | None = None, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The command that starts a server, which ends after a quarter of an hour without work.

    Inside a host application `sys.executable` is the host. Then `impasto` must be on the PATH; raises
    ServerUnreachable if it is not.
    """
    executable = sys.executable if executable is None else executable
    if executable and _PYTHON.fullmatch(Path(executable).name):
        return (executable, "-m", MODULE, *ARGUMENTS)
    if found := shutil.which("impasto", path=environ.get("PATH", os.defpath)):
        return (found, *ARGUMENTS)
    raise ServerUnreachable(
        f"expected `impasto` on the PATH to start a server, because '{executable or 'this program'}' is not Python; "
        f"run `impasto serve` in a terminal, or name the command to connect with"
    )


def last_line(path: Path) -> str:
    """The last line of a log that is not blank, with its unprintable letters as spaces; '' if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - TAIL_BYTES))
            lines = log.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in said)[:LINE_LETTERS].strip()


def _ready(folder: Path) -> Owner | None:
    """The server of the folder; None until both of its sockets exist."""
    owner = running(folder)
    return owner if owner is not None and all((folder / name).exists() for name in (CONTROL, DATA)) else None


def _start(folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":  # unverified: nobody has run this branch
        detached = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    # O_APPEND, so that the lines of the server and of its workers do not overwrite each other.
    log = os.open(log_path(folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environment(folder, command),
            **detached,
        )
    except OSError as error:
        raise ServerUnreachable(
            f"expected to start a server with `{' '.join(command)}`, got: {error.strerror}; install impasto there, or "
            f"run `impasto serve` in a terminal"
        ) from error
    finally:
        os.close(log)


def _await(folder: Path, started: subprocess.Popen[bytes] | None, until: float, timeout_s: float) -> Owner:
    while True:
        if (owner := _ready(folder)) is not None:
            if started is not None:
                _forget(started)
            return owner
        if started is not None and (code := started.poll()) is not None:
            raise ServerUnreachable(f"expected the server to start, it ended with code {code}{_quoted(folder)}")
        if time.monotonic() >= until:
            raise ServerUnreachable(
                f"expected the server in '{folder}' within {timeout_s:g} s, it did not come up{_quoted(folder)}"
            )
        time.sleep(POLL_S)


def _quoted(folder: Path) -> str:
    log = log_path(folder)
    line = last_line(log)
    return f"; its log '{log}' ends with: {line}" if line else f"; its log '{log}' is empty"


def _end(started: subprocess.Popen[bytes]) -> None:
    started.kill()
    started.wait(5.0)


def _forget(started: subprocess.Popen[bytes]) -> None:
    """Leave the server to itself. A thread waits for its end, so that it does not stay as a zombie."""
    threading.Thread(target=started.wait, name="impasto-reaper", daemon=True).start()


def _environment(folder: Path, command: Sequence[str]) -> dict[str, str]:
    """The environment of this process, without what would make another Python use this one's library."""
    foreign = () if command[0] == sys.executable else ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**kept, "IMPASTO_RUNTIME": str(folder)}
