"""`impasto stop`: end the server, or the work of one of its clients."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Annotated, Final

import typer

from impasto.core.errors import IncompatibleServer, ServerBusy, ServerError, ServerUnreachable, UsageError
from impasto.hosts.events import RunFinished, RunWarning
from impasto.hosts.terminal.printer import counted, emit, say
from impasto.hosts.terminal.server.own_server import await_end
from impasto.hosts.terminal.shared_options import Json, Server, ServerKey
from impasto.server.runtime_dir import running, runtime_folder

END_S = 15.0
"""How long a server may take to end after its own drain time."""

NOW_S: Final = 2.7
"""How long the user's own server may take with --now. Then its process is killed, and its workers go with it."""


def stop(
    now: Annotated[bool, typer.Option("--now", help="Cancel what runs instead of finishing it.")] = False,
    client: Annotated[
        int | None,
        typer.Option(
            "--client",
            metavar="N",
            min=1,
            help="Cancel what this client of `impasto status` asked for; all else goes on.",
        ),
    ] = None,
    server: Server = None,
    server_key: ServerKey = None,
    json: Json = False,
) -> None:
    """End the server once what runs is finished.

    It is no error where none runs.
    """
    if client is not None:
        if now:
            raise UsageError("expected --client or --now, got both; --client cancels at once, and the server stays")
        _cancel_client(client, server, server_key, json=json)
        return
    folder = runtime_folder()
    owner = running(folder)
    if server is None and owner is None:
        _say("no server runs", json=json)
        return
    if server is None and owner is not None and now and hasattr(signal, "SIGKILL"):
        _stop_now(owner.pid)
        _say("the server has ended", json=json)
        return
    from impasto.hosts.terminal.server.connect import connected

    try:
        with connected("impasto stop", server, server_key, start=False, control_only=True) as connection:
            connection.shut_down(at_once=now)
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


def _cancel_client(number: int, server: str | None, server_key: str | None, *, json: bool) -> None:
    from impasto.hosts.terminal.server.connect import connected

    with connected("impasto stop", server, server_key, start=False, control_only=True) as connection:
        count = connection.cancel_client(number)
    _say(f"{counted(count, 'request')} of client {number} cancelled", json=json)


def _stop_now(pid: int) -> None:
    """End the user's own server within 3 s, whatever hangs: SIGTERM drains, a second one cancels, SIGKILL ends it."""
    until = time.monotonic() + NOW_S
    with contextlib.suppress(ProcessLookupError):
        for _ in range(2):
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.02)
    try:
        await_end(max(0.0, until - time.monotonic()))
    except ServerError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await_end(END_S)


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
