"""`impasto serve`: the render server in the foreground."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import ServerError, UsageError
from impasto.hosts.events import RunCancelled, RunFinished, RunWarning, ServerReady
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.printer import emit, say, say_aside
from impasto.hosts.terminal.shared_options import Json
from impasto.server.settings import ServerSettings

_LISTEN = re.compile(r"tcp://(\*|\[[0-9a-f:.]+\]|[a-z0-9.-]+):([0-9]{1,5})", re.IGNORECASE)


def serve(
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="A device that paints; repeatable."),
    ] = None,
    styles: Annotated[
        list[Path] | None, typer.Option("--styles", metavar="DIR", help="A folder of styles to watch; repeatable.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", metavar="tcp://HOST:PORT", help="Take clients of other machines, whose keys are allowed."
        ),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option("--root", metavar="NAME=DIR[:rw]", help="A folder that other machines may name files below."),
    ] = None,
    idle_exit: Annotated[
        float | None, typer.Option("--idle-exit", metavar="SECONDS", help="Leave after so long without clients.")
    ] = None,
    metrics: Annotated[
        int | None, typer.Option("--metrics", metavar="PORT", help="Prometheus metrics on this port of loopback.")
    ] = None,
    cache: Annotated[
        str,
        typer.Option(
            "--cache", metavar="SIZE|read-only|off", help="Painted frames to keep, such as 4G; see `impasto cache`."
        ),
    ] = "",
    web: Annotated[bool, typer.Option("--web", help="Serve the pages of `impasto web` as well.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start it in the background, and return once it is ready; for farms.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the render server until Ctrl-C.

    `impasto render` starts a server by itself where none runs; this one stays, and takes folders of styles and other
    machines. Ctrl-C finishes what runs and leaves; twice leaves at once, with exit code 130 if work was cut off.
    """
    if detach:
        if styles or listen or root or idle_exit or metrics or cache or web:
            raise UsageError("expected no other option than --device with --detach, got one; leave it out")
        start_detached(device or [])
        return
    settings = settings_from(device or [], styles or [], listen, root or [], idle_exit, metrics, cache)
    from impasto.hosts.terminal.server.version_check import version_note
    from impasto.server.front.server import serve as run_server
    from impasto.server.runtime_dir import running

    pages: list[subprocess.Popen[bytes]] = []

    def on_ready() -> None:
        if web:
            pages.append(start_pages(json=json))
        # A full disk or a closed pipe must not end the server.
        with contextlib.suppress(OSError):
            print_ready(settings, json=json)

    try:
        code = run_server(settings, on_ready=on_ready)
    except ServerError as error:
        first = running(settings.folder)
        note = version_note(first.version, local=True) if first is not None else None
        raise type(error)(f"{error} ({note})" if note else str(error)) from error
    finally:
        for process in pages:
            process.terminate()
            process.wait()
    if json:
        emit(RunCancelled(None, 0, 0.0) if code else RunFinished())
    if code:
        raise typer.Exit(INTERRUPTED)


def start_pages(*, json: bool) -> subprocess.Popen[bytes]:
    """Start `impasto web` as a process of its own; beside JSON it prints to standard error."""
    command = [sys.executable, "-m", "impasto.hosts.terminal", "web"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr if json else None)


def start_detached(devices: list[str]) -> None:
    """Start a server that outlives this process, where none runs. ServerUnreachable where it does not come up."""
    from impasto.server.launcher import default_command, launch
    from impasto.server.runtime_dir import runtime_folder

    options = [word for device in devices for word in ("--device", device)]
    owner = launch(runtime_folder(), [*default_command(), *options])
    say(f"{owner.version} serves in '{runtime_folder()}' (process {owner.pid}); `impasto stop` ends it")


def settings_from(
    devices: list[str],
    styles: list[Path],
    listen: str | None,
    roots: list[str],
    idle_exit_s: float | None,
    metrics: int | None,
    cache: str = "",
) -> ServerSettings:
    """The options as settings. UsageError for what cannot work, NotPermitted for a folder that is open to others."""
    from impasto.server.file_roots import root_of
    from impasto.server.frame_cache.place import cache_choice
    from impasto.server.runtime_dir import prepare_folder, runtime_folder

    for folder in styles:
        if not folder.is_dir():
            raise UsageError(f"expected a folder of styles, '{folder}' is none; check --styles")
    if listen is not None:
        match = _LISTEN.fullmatch(listen)
        if match is None or not 0 < int(match[2]) < 65535:
            raise UsageError(
                f"expected --listen as tcp://HOST:PORT, got '{listen}'; give for example tcp://0.0.0.0:7780 (data is on"
                " the next port)"
            )
    elif roots:
        raise UsageError("expected --listen with --root: clients of this machine name any file; leave out --root")
    if idle_exit_s is not None and not 0 < idle_exit_s < 1e9:
        raise UsageError(f"expected --idle-exit in seconds above 0, got {idle_exit_s:g}; give for example 900")
    if metrics is not None and not 0 < metrics < 65536:
        raise UsageError(f"expected --metrics as a port from 1 to 65535, got {metrics}; give for example 9464")
    cache_choice(cache)
    named = dict(map(root_of, roots))
    if len(named) < len(roots):
        raise UsageError("expected a name of its own for every --root, got one twice; rename it")
    return ServerSettings(
        folder=prepare_folder(runtime_folder()),
        devices=tuple(devices) or ("auto",),
        styles=tuple(folder.absolute() for folder in styles),
        listen=listen,
        idle_exit_s=idle_exit_s,
        metrics_port=metrics,
        roots=named,
        cache=cache,
    )


def print_ready(settings: ServerSettings, *, json: bool) -> None:
    """Print the server's endpoints, and how other machines connect."""
    from impasto.core.style_file import style_files
    from impasto.hosts.terminal.server.version_check import own_version
    from impasto.server.runtime_dir import control_endpoint

    endpoints = (control_endpoint(settings.folder), *filter(None, [settings.listen]))
    count = len(style_files(settings.styles))
    metrics = None if settings.metrics_port is None else f"http://127.0.0.1:{settings.metrics_port}/metrics"
    key, notes = listening_facts(settings)
    if json:
        emit(ServerReady(own_version(), os.getpid(), endpoints, count, metrics, key))
        for note in notes:
            emit(RunWarning(note))
        return
    extra = f"; metrics at {metrics}" if metrics else ""
    say(
        f"{own_version()} serves {count} styles at {' and '.join(endpoints)} (process {os.getpid()}){extra};"
        " Ctrl-C ends it"
    )
    if key is not None:
        say(f"on a client's machine: impasto auth trust tcp://THIS-HOST:{port_of(settings)} '{key}'")
    for note in notes:
        say_aside(f"note: {note}")


def listening_facts(settings: ServerSettings) -> tuple[str | None, list[str]]:
    """The server's public key, and notes on what is missing before clients of other machines can connect."""
    if settings.listen is None:
        return None, []
    from impasto.server.auth import AllowList, auth_folder, server_pair

    folder = settings.keys or auth_folder()
    known = AllowList(folder)
    notes = [] if known.entries() else ["nobody may connect yet; run `impasto auth add NAME KEY` with a client's key"]
    return server_pair(folder).public.decode(), [*notes, *known.problems]


def port_of(settings: ServerSettings) -> str:
    """The port that clients of other machines connect to."""
    return (settings.listen or "").rpartition(":")[2]
