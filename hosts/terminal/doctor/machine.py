"""Checks of the machine: folders, the render server, shared memory, limits."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator

from impasto.core.errors import ServerError
from impasto.hosts.events import CheckDone
from impasto.hosts.terminal.server.version_check import version_note

ROOMY_BYTES = 800 << 20
"""Three pairs of slots for 4K frames of RGBA float32."""
OPEN_FILES = 1024
ANSWER_S = 5.0
"""How long a running server may take to answer."""


def check_folders() -> Iterator[CheckDone]:
    """Temporary files can be written."""
    folder = tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"impasto")
    except OSError as error:
        yield CheckDone(
            "temporary files", "failed", f"'{folder}': {error.strerror}", "set TMPDIR to a folder that takes files"
        )
    else:
        yield CheckDone("temporary files", "ok", folder, "")


def check_server() -> Iterator[CheckDone]:
    """The runtime folder is the user's alone; a server that runs there answers and is of this installation."""
    from impasto.server.client import Client
    from impasto.server.runtime_dir import prepare_folder, running, runtime_folder

    folder = prepare_folder(runtime_folder())
    owner = running(folder)
    if owner is None:
        yield CheckDone("server", "ok", f"none runs in '{folder}'; it is started when it is needed", "")
        return
    found = f"{owner.version} runs as process {owner.pid} in '{folder}'"
    try:
        with Client.connect(start=False, timeout_s=ANSWER_S, name="impasto doctor", control_only=True) as client:
            client.ping()
    except ServerError as error:
        hint = f"end it with: kill {owner.pid}; the next render starts one of this version"
        yield CheckDone("server", "failed", f"{found}, and cannot be used: {error}", hint)
        return
    note = version_note(owner.version, local=True)
    if note is None:
        yield CheckDone("server", "ok", found, "")
    else:
        text, _, hint = note.rpartition("; ")
        yield CheckDone("server", "warning", f"{text} (process {owner.pid})", hint)


def check_shared_memory() -> Iterator[CheckDone]:
    """There is enough shared memory for pixels between a host and the server."""
    if not hasattr(os, "statvfs"):
        return
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize
    hint = f"make more room in '{folder}'; in a container start it with --shm-size=2g" if free < ROOMY_BYTES else ""
    yield CheckDone("shared memory", "warning" if hint else "ok", f"{free / 2**20:.0f} MiB free in '{folder}'", hint)


def check_open_files() -> Iterator[CheckDone]:
    """A process may open enough files and sockets for many clients."""
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = allowed != resource.RLIM_INFINITY and allowed < OPEN_FILES
    hint = f"raise the limit before the server starts: ulimit -n {4 * OPEN_FILES}" if few else ""
    yield CheckDone("open files", "warning" if few else "ok", f"{allowed} at once", hint)
