"""The way of the commands to the server: connected, or one sentence that says what to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from impasto.core.errors import ServerError, ServerUnreachable, UsageError
from impasto.server.client import Client
from impasto.server.protocol.messages import Lane
from impasto.server.runtime import runtime_folder

TIMEOUT_S = 20.0


def own_version() -> str:
    """What a server of this installation calls itself."""
    return f"impasto {version('impasto')}"


@contextmanager
def connected(
    name: str, address: str | None = None, server_key: str | None = None, *, start: bool, lane: Lane = "interactive"
) -> Iterator[Client]:
    """A client of the user's own server, or of the one at 'tcp://HOST:PORT'.

    Raises what the server refuses with; ServerUnreachable where none answers, or none could be started.
    """
    if server_key is not None and address is None:
        raise UsageError("expected --server with --server-key; give the address too, or neither")
    keys = None
    if address is not None:
        from impasto.server.keys import client_keys, keys_folder

        keys = client_keys(keys_folder(), address, server_key)
    elif not start:
        require_running()
    try:
        client = Client.connect(address, start=start, timeout_s=TIMEOUT_S, lane=lane, name=name, keys=keys)
    except ServerError as error:
        if not start:
            raise
        # No silent way round: a render in this process would take the memory and time that the server is there to save.
        raise type(error)(f"{error}; --local renders without a server") from error
    with client:
        yield client


def require_running() -> None:
    """Raise ServerUnreachable where the user's own server does not run."""
    from impasto.server.runtime import running

    folder = runtime_folder()
    if running(folder) is None:
        raise ServerUnreachable(
            f"expected a running server, found none in '{folder}'; `impasto render` starts one when it needs it,"
            " `impasto serve` keeps one"
        )
