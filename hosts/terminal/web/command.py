"""`impasto web`: the pages of the render server, in the user's browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.printer import say, say_aside
from impasto.hosts.terminal.shared_options import LOOPBACK, Host, Server, ServerKey, Tls

if TYPE_CHECKING:
    from impasto.hosts.web.settings import WebSettings
    from impasto.server.client import Client
    from impasto.server.settings import Root

NAME = "impasto web"
PORT = 7790


def web(
    open: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Where the pages are; 0 takes any.")] = PORT,
    plates: Annotated[
        list[str] | None,
        typer.Option("--plates", metavar="[NAME=]DIR", help="A folder to pick plates from; repeatable."),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--runs", metavar="[NAME=]DIR[:rw]", help="A folder with runs of the trainer; :rw may start some."
        ),
    ] = None,
    server: Server = None,
    server_key: ServerKey = None,
    host: Host = LOOPBACK,
    tls: Tls = None,
) -> None:
    """Open the pages of the render server: look, live, runs, server.

    Choose and tune a style on a frame, watch it live, follow and start training, and see how the server is. Files are
    read only below --plates and --runs. The address that is printed holds a token: whoever has it may use the pages.
    """
    from impasto.hosts.web.app import make_app
    from impasto.hosts.web.live_room import LiveRoom
    from impasto.hosts.web.live_socket import live_routes
    from impasto.hosts.web.serving import bound, serve

    listener, settings = bound(settings_from(port, host, tls, plates or [], runs or [], server, server_key))

    def on_ready() -> None:
        say(f"the pages are at {settings.address}; Ctrl-C ends them")
        if not settings.is_loopback:
            say_aside("note: other machines reach these pages; whoever has the address with its token may use them")

    with closing(LiveRoom(settings.connect)) as room:
        app = make_app(settings, live_routes(room))
        serve(app, listener, on_ready=on_ready, open_page="/look" if open else "")


def settings_from(
    port: int,
    host: str,
    tls: tuple[Path, Path] | None,
    plates: list[str],
    runs: list[str],
    server: str | None,
    server_key: str | None,
) -> WebSettings:
    """The options as settings. UsageError for what cannot work."""
    from impasto.core.preset import preset_folder
    from impasto.hosts.web.serving import token_in
    from impasto.hosts.web.settings import WebSettings
    from impasto.server.runtime_dir import prepare_folder, running, runtime_folder

    if not 0 <= port < 65536:
        raise UsageError(f"expected --port from 1 to 65535, got {port}; leave it at {PORT}")
    settings = WebSettings(
        token=token_in(prepare_folder(runtime_folder())),
        connect=connection(server, server_key),
        is_running=lambda: server is not None or running(runtime_folder()) is not None,
        presets=preset_folder(),
        host=host,
        port=port,
        tls=tls,
        plates=named_folders("--plates", plates),
        runs=named_folders("--runs", runs),
    )
    if not settings.is_loopback:
        if tls is None:
            raise UsageError(
                f"expected --tls CERT KEY with --host {host}: other machines get the pages encrypted alone; "
                "leave out --host, or give a certificate"
            )
        if host in ("0.0.0.0", "::", "*"):
            raise UsageError(f"expected --host as browsers name this machine, got '{host}'; give its address or name")
    for path in tls or ():
        if not path.is_file():
            raise UsageError(f"expected a PEM file for --tls, '{path}' is none; check the path")
    return settings


def named_folders(option: str, texts: list[str]) -> dict[str, Root]:
    """'NAME=DIR' or 'DIR' as folders by name. UsageError for what is no folder, and for one name twice."""
    from impasto.server.file_roots import root_of

    found: dict[str, Root] = {}
    for text in texts:
        named = text if "=" in text else f"{_name_of(text)}={text}"
        name, root = root_of(named)
        if name in found:
            raise UsageError(f"expected a name of its own for every {option}, got '{name}' twice; write NAME=DIR")
        found[name] = root
    return found


def connection(server: str | None, server_key: str | None, name: str = NAME) -> Callable[[], Client]:
    """How the pages reach the render server: the user's own, started where none runs, or that of another machine.

    UsageError for a key without an address.
    """
    if server_key is not None and server is None:
        raise UsageError("expected --server with --server-key; give the address too, or neither")

    def connect() -> Client:
        from impasto.server.client import Client

        if server is None:
            from impasto.hosts.terminal.server.own_server import replace_idle_server

            replace_idle_server(name)
            return Client.connect(name=name)
        from impasto.server.auth import auth_folder, client_auth

        auth = client_auth(auth_folder(), server, server_key)
        return Client.connect(server, name=name, auth=auth)

    return connect


def _name_of(folder: str) -> str:
    """A folder's own name, in the letters that the name of a root may have."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(folder).resolve().name)
    return plain.strip("-")[:63].ljust(2, "-") if plain.strip("-") else "plates"
