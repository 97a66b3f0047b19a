"""`impasto stop`: end the server."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.core.errors import IncompatibleServer, ServerBusy, ServerUnreachable
from impasto.hosts.events import RunFinished, RunWarning
from impasto.hosts.terminal.printer import emit, say
from impasto.hosts.terminal.server.own_server import await_end
from impasto.hosts.terminal.shared_options import Json, Server, ServerKey
from impasto.server.runtime_dir import running, runtime_folder

END_S = 15.0
"""How long a server may take to end after its own drain time."""


def stop(
    now: Annotated[bool, typer.Option("--now", help="Cancel what runs instead of finishing it.")] = False,
    server: Server = None,
    server_key: ServerKey = None,
    json: Json = False,
) -> None:
    """End the server once what runs is finished.

    It is no error where none runs.
    """
    folder = runtime_folder()
    owner = running(folder)
    if server is None and owner is None:
        _say("no server runs", json=json)
        return
    from impasto.hosts.terminal.server.connect import connected

    try:
        with connected("impasto stop", server, server_key, start=False, control_only=True) as client:
            client.shut_down(at_once=now)
    except (ServerUnreachable, ServerBusy, IncompatibleServer) as error:
        if server is not None or owner is None:
            raise
        # It hangs, takes no more clients, or is of another version. A signal still reaches it.
        raise type(error)(f"{error}; or end it with: kill {owner.pid}") from error
    if server is None:
        await_end(END_S + drain_s())
        _say("the server has ended", json=json)
    else:
        _say("the server ends", json=json)


def drain_s() -> float:
    """How long a server finishes what runs before it cancels it."""
    from impasto.server.protocol.limits import Limits

    return Limits().drain_s


def _say(text: str, *, json: bool) -> None:
    if json:
        emit(RunWarning(text))
        emit(RunFinished())
    else:
        say(text)
