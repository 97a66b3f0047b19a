"""`impasto live`: a camera, a stream or a movie, painted as it comes."""

from __future__ import annotations

import socket
import threading
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.core.errors import ServerError, UsageError
from impasto.hosts.events import LiveFigures, LiveStarted, RunFinished, RunWarning
from impasto.hosts.terminal.controls import given, with_live_controls
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import say_aside
from impasto.hosts.terminal.shared_options import LOOPBACK, Host, Json, Server, ServerKey, Tls
from impasto.hosts.terminal.web.command import connection

if TYPE_CHECKING:
    from impasto.core.animation import Animation
    from impasto.hosts.live.governor import Quality
    from impasto.hosts.live.session import LiveSession, SessionPlan
    from impasto.hosts.terminal.live.reporter import LiveReporter
    from impasto.hosts.web.live_room import LiveRoom
    from impasto.hosts.web.settings import WebSettings

NAME = "impasto live"
BROWSER = "browser"
EVERY_S = 1.0
POLL_S = 0.1
PAGE_S = 10.0
LATENCIES_S = (0.02, 10.0)


@with_live_controls
def live(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="camera:0, browser (the page's own camera), a movie, plate.####.png, udp://, rtsp:// or rtmp://.",
        ),
    ],
    style: Annotated[
        str | None, typer.Option("--style", help="Name or .safetensors file, or a blend as NAME@A=0.7+B=0.3.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="SINK",
            help="browser, movie.mov, udp://HOST:PORT, rtmp://…, srt://… or v4l2:/dev/videoN; repeatable. "
            "Without it the browser.",
        ),
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", metavar="MOVIE", help="Record into a movie as well.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option("--fps", metavar="FPS", help="Paint at most so many a second: 24 or 24000/1001.")
    ] = None,
    latency: Annotated[
        str, typer.Option("--latency", metavar="TIME", help="How old a painting may be, as 150ms or 0.2s.")
    ] = "150ms",
    quality: Annotated[
        str, typer.Option("--quality", metavar="auto|full|draft", help="The network, where it is not to be chosen.")
    ] = "auto",
    drive: Annotated[
        list[str] | None,
        typer.Option(
            "--drive",
            metavar="PARAMETER=SOURCE:FEATURE*GAIN+OFFSET",
            help="A parameter of a movie that follows its sound or a file, as in `impasto drive`; it goes before the "
            "page's slider. Repeatable.",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="auto|WxH", help="Make larger sources fit into this size.")
    ] = "auto",
    loop: Annotated[bool, typer.Option("--loop", help="Begin a movie again at its end.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a movie that is there.")] = False,
    open: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Where the page is; else 7790, or any that is free.")
    ] = None,
    host: Host = LOOPBACK,
    tls: Tls = None,
    server: Server = None,
    server_key: ServerKey = None,
    json: Json = False,
    **controls: Any,
) -> None:
    """Paint a camera, a stream or a movie as it comes.

    The page in the browser shows plate and painting, and changes style and parameters while it runs. OBS shows its
    address with /live?bare=1 as a browser source. Where the machine does not keep up, newer pictures take the place of
    older ones, and a quicker network, or a smaller picture, is chosen until it does.

    Ctrl-C ends it: movies are finished and the camera is free. The exit code is 4 when no sink is left.
    """
    from impasto.core.controls import before_of
    from impasto.core.grade_settings import BEFORE_CONTROLS
    from impasto.core.media.frame_rate import require_rate
    from impasto.core.params import PARAMETERS
    from impasto.hosts.live.display import parse_size
    from impasto.hosts.live.session import LiveSession, SessionPlan, opened_source
    from impasto.hosts.live.sources import parse_source
    from impasto.hosts.terminal.live.reporter import LiveReporter
    from impasto.hosts.terminal.style.listing import default_style

    sinks = tuple(to or (BROWSER,))
    before = given("before_", BEFORE_CONTROLS, controls)
    before_of(before)  # refuses what is out of range
    plan = SessionPlan(
        parse_source(source, loop=loop),
        style or default_style(),
        given("", PARAMETERS, controls),
        fed_sinks(sinks, record),
        require_rate(fps or ""),
        seconds_of(latency),
        quality_of(quality),
        parse_size(size),
        overwrite,
        before=before,
    )
    if drive:
        plan = replace(plan, animation=driven_live(drive, plan, lambda text: say_aside(f"note: {text}")))
    on_page = BROWSER in sinks or plan.source.kind == "browser"
    with Interrupts() as interrupts, LiveReporter(json=json) as reporter, ExitStack() as stack:
        opened = opened_source(plan)  # before a page is opened for it
        if opened is not None:
            stack.callback(opened.close)
        room, page = None, ""
        if on_page:
            from impasto.hosts.web.live_room import LiveRoom

            room = stack.enter_context(closing(LiveRoom()))
            settings = page_settings(port, host, tls, server, server_key)
            page = stack.enter_context(served_page(room, settings, open_page=open))
        reporter.show(LiveStarted(plan.source.text, plan.style, (*sinks, *((record,) if record else ())), page))
        for note in notes_on(plan):
            reporter.show(RunWarning(note))
        client = stack.enter_context(connection(server, server_key, NAME)())
        outlets = () if room is None else (room.outlet,)
        session = stack.enter_context(LiveSession(plan, client, outlets, source=opened))
        if room is not None:
            room.show(session)
            stack.callback(room.show, None)
        watch(session, reporter, interrupts.asked)
    if session.error is not None:
        raise session.error
    reporter.show(RunFinished(next(iter(plan.sinks), None), session.figures().painted))


def driven_live(drivers: list[str], plan: SessionPlan, note: Callable[[str], None]) -> Animation:
    """What drives the parameters of a movie or sequence. UsageError for a camera or stream, and as `driven_by`."""
    from impasto.hosts.terminal.render.drive import driven_by

    if plan.source.kind != "file":
        raise UsageError(
            f"expected a movie or a sequence for --drive, got '{plan.source.text}', whose sound is not heard; leave "
            "--drive out"
        )
    return driven_by(drivers, plan.source.text, None if plan.fps is None else str(plan.fps), None, note)


def watch(session: LiveSession, reporter: LiveReporter, asked: Callable[[], bool]) -> None:
    """Tell how the session goes, once a second, until it ends or somebody asks for the end."""
    told: set[str] = set()
    due_s = 0.0
    while not asked() and not session.ended:
        for name, error in session.refused_now().items():
            if name not in told:
                told.add(name)
                reporter.show(RunWarning(f"{name} takes no pictures: {error}"))
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + EVERY_S
            reporter.show(LiveFigures(**asdict(session.figures())))
        time.sleep(POLL_S)
    reporter.show(LiveFigures(**asdict(session.figures())))


def notes_on(plan: SessionPlan) -> Iterator[str]:
    """What a user should know of a plan before it begins."""
    from impasto.hosts.live.sinks.network import is_network, leaves_this_machine

    for sink in plan.sinks:
        if is_network(sink) and leaves_this_machine(sink):
            yield f"{sink} is sent as it is: whoever is on the way can see it"


def page_settings(
    port: int | None, host: str, tls: tuple[Path, Path] | None, server: str | None, server_key: str | None
) -> WebSettings:
    """How the page is served: on the usual port, or on any other where that is taken and none was asked for."""
    from impasto.hosts.terminal.web.command import PORT, settings_from

    wanted = (PORT if is_free(host, PORT) else 0) if port is None else port
    return settings_from(wanted, host, tls, [], [], server, server_key)


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as tried, suppress(OSError):
        tried.settimeout(POLL_S)
        return tried.connect_ex((host, port)) != 0
    return True


@contextmanager
def served_page(room: LiveRoom, settings: WebSettings, *, open_page: bool) -> Iterator[str]:
    """The page, served in a thread; its address. UsageError for a port that is taken."""
    from impasto.hosts.web.app import make_app
    from impasto.hosts.web.live_socket import live_routes
    from impasto.hosts.web.serving import bound, serve

    listener, settings = bound(settings)
    app, ready = make_app(settings, live_routes(room)), threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(app, listener),
        kwargs={"on_ready": ready.set, "open_page": "/live" if open_page else ""},
        name="impasto-page",
        daemon=True,
    )
    thread.start()
    if not ready.wait(PAGE_S):
        raise ServerError(f"expected the page to be there within {PAGE_S:g} s, it was not; try again")
    try:
        yield settings.address.replace("/?", "/live?", 1)
    finally:
        app.state.stop()
        thread.join(PAGE_S)


def fed_sinks(sinks: tuple[str, ...], record: str | None) -> tuple[str, ...]:
    """The sinks beside the browser. UsageError for one that is named twice."""
    fed = (*(each for each in sinks if each != BROWSER), *((record,) if record is not None else ()))
    if len(set(fed)) != len(fed):
        raise UsageError("expected each sink once; name another movie, port or device")
    return fed


def quality_of(text: str) -> Quality:
    """A quality by its name. UsageError for one that does not exist."""
    from impasto.hosts.live.governor import Quality

    known = typing.get_args(Quality)
    if text not in known:
        raise UsageError(f"expected --quality as {', '.join(known)}, got '{text}'")
    return typing.cast("Quality", text)


def seconds_of(text: str) -> float:
    """'150ms' or '0.2s' as seconds. UsageError for anything else."""
    unit = 1e-3 if text.endswith("ms") else 1.0
    number = text.removesuffix("ms") if unit != 1.0 else text.removesuffix("s")
    try:
        found = float(number) * unit
    except ValueError:
        found = 0.0
    if number == text or not LATENCIES_S[0] <= found <= LATENCIES_S[1]:
        raise UsageError(f"expected --latency as 150ms or 0.2s, from 20ms to 10s, got '{text}'")
    return found
