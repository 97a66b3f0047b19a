"""Serves the pages on a port until Ctrl-C: the only file that knows uvicorn."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from impasto.core.errors import NotPermitted, UsageError
from impasto.hosts.web.settings import WebSettings

TOKEN_FILE: Final = "web.token"
TOKEN_LETTERS: Final = range(32, 129)
MESSAGE_BYTES: Final = 8 << 20
"""The largest message of a WebSocket: one picture."""
HEAD_BYTES: Final = 16 << 10


def token_in(folder: Path) -> str:
    """The token of a runtime folder, made at first; it stays, so that addresses kept in OBS stay good.

    NotPermitted for a file that others can read, or that is no token.
    """
    path = folder / TOKEN_FILE
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(fd, encoding="ascii", errors="replace") as file:
        open_to_others = os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077
        token = file.read(TOKEN_LETTERS[-1] + 1).strip()
    if open_to_others or len(token) not in TOKEN_LETTERS or not token.isascii():
        raise NotPermitted(f"expected a token that you alone can read in '{path}'; remove the file")
    return token


def bound(settings: WebSettings) -> tuple[socket.socket, WebSettings]:
    """The socket to serve on, and the settings with its port where any was asked for (0).

    UsageError for a port in use, or for a host that is not this machine.
    """
    host = settings.host.strip("[]")
    listener: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(found[0], found[1])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"expected port {settings.port} to be free, another program listens on it (`impasto web` perhaps, in "
                f"another terminal); open that one, or give --port with another number"
            ) from error
        raise UsageError(
            f"expected to listen on '{settings.host}' port {settings.port}, got: {error.strerror}; give --host as an "
            f"address of this machine, and --port from 1024 on"
        ) from error
    return listener, replace(settings, port=listener.getsockname()[1])


def serve(
    app: Starlette, listener: socket.socket, *, on_ready: Callable[[], object] = lambda: None, open_page: str = ""
) -> None:
    """Serve until Ctrl-C or SIGTERM, or until `app.state.stop()`. `on_ready` is called once the pages answer.

    With `open_page`, a path such as '/live', the user's browser opens it.
    """
    settings: WebSettings = app.state.settings
    certificate, key = settings.tls or (None, None)
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", loop="asyncio", lifespan="on", log_level="warning",
        access_log=False, server_header=False, proxy_headers=False, ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False, h11_max_incomplete_event_size=HEAD_BYTES, timeout_graceful_shutdown=2,
        ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip

    def ready() -> None:
        on_ready()
        if open_page:
            ticket = secrets.token_urlsafe(24)
            app.state.tickets.add(ticket)
            webbrowser.open(f"{settings.base}{open_page}?token={ticket}")

    server = _Server(config, ready)

    def stop() -> None:
        server.should_exit = True

    app.state.stop = stop
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()
