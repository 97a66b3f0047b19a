"""The user's own server on this machine: is there one, has it ended, may it be replaced."""

from __future__ import annotations

import time

from impasto.core.errors import ServerError, ServerUnreachable
from impasto.hosts.terminal.server.version_check import is_older
from impasto.server.runtime_dir import running, runtime_folder

POLL_S = 0.05
REPLACE_S = 5.0
"""How long an idle server may take to leave."""


def require_running() -> None:
    """Raise ServerUnreachable where the user's own server does not run."""
    folder = runtime_folder()
    if running(folder) is None:
        raise ServerUnreachable(
            f"expected a running server, found none in '{folder}'; `impasto render` starts one when it needs it,"
            " `impasto serve` keeps one"
        )


def await_end(timeout_s: float) -> None:
    """Return once no server holds the runtime folder. ServerError where one still does after this time."""
    folder = runtime_folder()
    until = time.monotonic() + timeout_s
    while (owner := running(folder)) is not None:
        if time.monotonic() > until:
            raise ServerError(
                f"expected the server (process {owner.pid}) to end within {timeout_s:g} s, it still runs; try"
                " `impasto stop --now`, or end the process"
            )
        time.sleep(POLL_S)


def replace_idle_server(name: str) -> None:
    """End the user's server if it is older than this command and nobody uses it. The next client starts another.

    A server that a user started by hand stays: it has options of its own. Errors are passed over, because the older
    server still works.
    """
    owner = running(runtime_folder())
    if owner is None or not is_older(owner.version) or not _started_in_background(owner.pid):
        return
    from impasto.server.client import Client

    try:
        with Client.connect(start=False, timeout_s=REPLACE_S, name=name, control_only=True) as client:
            found = client.status()
            if found.queued or found.running or found.jobs or len(found.clients) > 1:
                return
            client.shut_down()
        await_end(REPLACE_S)
    except ServerError:
        return


def _started_in_background(pid: int) -> bool:
    """Whether a process is a server that a client started."""
    import psutil

    from impasto.server.launcher import ARGUMENTS

    try:
        return tuple(psutil.Process(pid).cmdline()[-len(ARGUMENTS) :]) == ARGUMENTS
    except psutil.Error:
        return False
