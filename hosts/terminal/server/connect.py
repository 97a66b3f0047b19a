"""Connects a command to the server, or says in one sentence what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from impasto.core.errors import IncompatibleServer, ServerError, UsageError
from impasto.hosts.terminal.server.own_server import replace_idle_server, require_running
from impasto.hosts.terminal.server.version_check import version_note
from impasto.server.client import Client
from impasto.server.protocol.field_types import Lane

TIMEOUT_S = 20.0


@contextmanager
def connected(
    name: str,
    address: str | None = None,
    server_key: str | None = None,
    *,
    start: bool,
    lane: Lane = "interactive",
    control_only: bool = False,
    warn: Callable[[str], object] = lambda text: None,
) -> Iterator[Client]:
    """A client of the user's own server, or of the one at 'tcp://HOST:PORT'.

    With `start` a server is started where none runs, and an idle one of an older version is replaced. With
    `control_only` the client cannot render, and the server takes it even when other clients leave no room. `warn` is
    called when the server is of another version. Raises what the server refuses with, and ServerUnreachable where none
    answers or none could be started.
    """
    if server_key is not None and address is None:
        raise UsageError("expected --server with --server-key; give the address too, or neither")
    auth = None
    if address is not None:
        from impasto.server.auth import auth_folder, client_auth

        auth = client_auth(auth_folder(), address, server_key)
    elif start:
        replace_idle_server(name)
    else:
        require_running()
    try:
        client = Client.connect(
            address, start=start, timeout_s=TIMEOUT_S, lane=lane, name=name, auth=auth, control_only=control_only
        )
    except ServerError as error:
        stop = isinstance(error, IncompatibleServer) and address is None
        hint = "; `impasto stop` ends the server of this machine, the next render starts its own" if stop else ""
        if not start:
            if not hint:
                raise
            raise type(error)(f"{error}{hint}") from error
        # Never silently local: a render in this process would take the memory and time that the server saves.
        raise type(error)(f"{error}{hint}; --local renders without a server") from error
    with client:
        if (note := version_note(client.welcome.server, local=address is None)) is not None:
            warn(note)
        yield client
