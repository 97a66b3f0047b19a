"""`impasto status`: how the server is, for a person or a program."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.hosts.events import RunFinished, RunWarning, ServerStatus
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import clock_text, console, counted, emit
from impasto.hosts.terminal.shared_options import Json, Server, ServerKey

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from impasto.server.client import Client
    from impasto.server.protocol.messages import Status

EVERY_S = 1.0
POLL_S = 0.1
COLOURS = {"ok": "green", "starting": "yellow", "degraded": "red", "draining": "yellow"}


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on, once a second, until Ctrl-C.")] = False,
    server: Server = None,
    server_key: ServerKey = None,
    json: Json = False,
) -> None:
    """Show how the render server is."""
    from impasto.hosts.terminal.server.connect import connected

    notes: list[str] = []
    with (
        Interrupts() as interrupts,
        connected("impasto status", server, server_key, start=False, control_only=True, warn=notes.append) as client,
    ):
        if json:
            for found in statuses(client, interrupts, watch=watch):
                emit(event_of(found))
            for note in notes:
                emit(RunWarning(note))
            emit(RunFinished())
        else:
            _show(statuses(client, interrupts, watch=watch), notes, live=watch)


def statuses(client: Client, interrupts: Interrupts, *, watch: bool) -> Iterator[Status]:
    """The status now; with `watch` again every second until Ctrl-C."""
    while not interrupts.asked():
        yield client.status()
        if not watch:
            return
        until = time.monotonic() + EVERY_S
        while time.monotonic() < until and not interrupts.asked():
            time.sleep(POLL_S)


def event_of(found: Status) -> ServerStatus:
    """A server's status as the event that programs read."""
    facts: dict[str, Any] = asdict(found)
    del facts["id"], facts["boot"]
    return ServerStatus(**facts)


def _show(found: Iterator[Status], notes: Sequence[str], *, live: bool) -> None:
    from rich.live import Live

    screen = console()
    if not live or not screen.is_terminal:
        for each in found:
            screen.print(page(each, notes))
        return
    with Live(console=screen, auto_refresh=False) as area:
        for each in found:
            area.update(page(each, notes), refresh=True)


def page(found: Status, notes: Sequence[str] = ()) -> RenderableType:
    """The status as a page: health first, then problems with what to do, then devices and clients."""
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = [
        Text.assemble(
            (found.server, "bold"),
            f", process {found.pid}, up for {clock_text(found.uptime_s)}: ",
            (found.health, COLOURS[found.health]),
        )
    ]
    lines += [Text(f"  {problem}", style="yellow") for problem in (*notes, *found.problems)]
    lines.append(Text(f"at {' and '.join(found.endpoints)}"))
    lines.append(
        Text(
            f"{counted(found.running, 'request')} running, {found.queued} waiting, {counted(found.jobs, 'shot')};"
            f" {found.fps:.2f} frames per second, {counted(found.frames, 'frame')} since the start"
            f"{cached_text(found)};"
            f" {counted(found.styles, 'style')}; the front takes {megabytes(found.rss_bytes)}"
        )
    )
    lines.append(_devices(found))
    if found.clients:
        lines.append(_clients(found))
    if found.errors:
        lines.append(Text("last errors", style="bold"))
        lines += [Text(f"  {clock_text(each.age_s)} ago  {each.code}: {each.message}") for each in found.errors]
    return Group(*lines)


def cached_text(found: Status) -> str:
    """Of the frames since the start, how many were kept from an earlier time; empty for none."""
    cached = found.counters.get("frames_cached", 0)
    return f", {cached} of them out of the cache" if cached else ""


def _devices(found: Status) -> RenderableType:
    from rich.text import Text

    table = _table("device", "state", "precision", "memory", "warm styles", "restarts", "process")
    for each in found.devices:
        state = Text(each.state, style=COLOURS["degraded"] if each.state == "lost" else "")
        memory = f"{megabytes(each.rss_bytes)}"
        if each.device_total_bytes:
            memory += f", device {megabytes(each.device_bytes)} of {megabytes(each.device_total_bytes)}"
        name, warm = f"{each.device} {each.name}".strip(), ", ".join(each.loaded) or "none"
        precision: str = each.precision
        if each.eight_bit_precision:
            precision += f", of 8 bits {each.eight_bit_precision}"
        table.add_row(name, state, precision, memory, warm, str(each.restarts), str(each.pid))
    return table


def _clients(found: Status) -> RenderableType:
    table = _table("no.", "client", "user", "from", "lane", "pixels", "running", "waiting")
    for each in found.clients:
        where = f"{each.host} process {each.pid}".strip()
        counts = (str(each.running), str(each.queued))
        table.add_row(str(each.number), each.client, each.user, where, each.lane, each.transport, *counts)
    return table


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    return table


def megabytes(count: int) -> str:
    """Bytes for a person: '350 MiB', '2.1 GiB'."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
