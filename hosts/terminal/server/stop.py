"""`impasto stop`: end the server."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from impasto.core.errors import IncompatibleServer, ServerBusy, ServerError, ServerUnreachable
from impasto.hosts.events import RunFinished, RunWarning, line_of
from impasto.server.runtime_dir import running, runtime_folder

LOOK_S = 0.05
PATIENCE_S = 15.0
"""What a server may take beyond the time that it promises to drain in."""


def stop(
    now: Annotated[bool, typer.Option("--now", help="Cancel what runs instead of finishing it.")] = False,
    server: Annotated[
        str | None, typer.Option("--server", metavar="tcp://HOST:PORT", help="A server on another machine.")
    ] = None,
    server_key: Annotated[
        str | None, typer.Option("--server-key", metavar="KEY", help="Its public key; see `impasto keys trust`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
) -> None:
    """End the server once what runs is finished.

    That none runs is no error.
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
        # It hangs, takes no more clients, or is of another version: a signal still reaches it.
        raise type(error)(f"{error}; or end it with: kill {owner.pid}") from error
    if server is None:
        await_end(PATIENCE_S + drain_s())
        _say("the server has ended", json=json)
    else:
        _say("the server ends", json=json)


def drain_s() -> float:
    """How long a server finishes what runs before it cancels it."""
    from impasto.server.protocol.limits import Limits

    return Limits().drain_s


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
        time.sleep(LOOK_S)


def _say(text: str, *, json: bool) -> None:
    if json:
        print(line_of(RunWarning(text)))
        print(line_of(RunFinished()), flush=True)
    else:
        print(text, flush=True)
