"""How old paintings are when a page shows them, and how many a second there are, from a camera that never waits.

The camera is the sample clip in a thread, at its own rate and without decoding. The page is Debian's Chromium where it
is installed, which draws on the same cores, and a socket that says at once that it shows each picture.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.media import open_reader
from impasto.hosts.live.clock import live_clock
from impasto.hosts.live.display import resized
from impasto.hosts.live.figures import SpanOfValues
from impasto.hosts.live.governor import Quality
from impasto.hosts.live.pictures import Picture, ShownPicture
from impasto.hosts.live.session import LiveSession, SessionPlan
from impasto.hosts.live.sources import parse_source
from impasto.hosts.web.live_room import LiveRoom
from impasto.hosts.web.page_outlet import Viewer
from impasto.server.client import Client
from tests.hosts.web.conftest import CHROMIUM, FLAGS, running_pages, settings_in
from tests.waiting import until

CLIP = Path(__file__).resolve().parents[1] / "media" / "harbour.mp4"
WARM_S, SECONDS = 3.0, 12.0
P50_BAR_MS, P95_BAR_MS = 25.0, 60.0
"""How much older than painting alone takes a picture may be on the page."""
LATENCY_S = 0.15
NOISE = 14.0
"""Standard deviation of the noise of a camera at night, in 8 bits."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is painted."""

    style: str
    size: tuple[int, int]
    fps: float
    quality: Quality
    noisy: bool = False

    @property
    def frame(self) -> str:
        return f"{self.size[0]}x{self.size[1]} at {self.fps:g}{', noisy' if self.noisy else ''}"


CASES = (
    Case("wheatfield", (640, 360), 30, "draft"),
    Case("wheatfield", (640, 360), 30, "auto"),
    Case("wheatfield", (960, 540), 24, "draft"),
    Case("wheatfield", (960, 540), 24, "auto"),
    Case("clean-draft", (640, 360), 30, "draft", noisy=True),
)


@dataclass(frozen=True, slots=True)
class LiveFigure:
    """One case on one page; ages from the moment in which the camera gave the picture."""

    style: str
    frame: str
    quality: str
    page: str
    fps: float
    cpu_ms: float
    """Processor time of the session and its page server for a painting, the render server's not among it."""
    painting_ms: float
    age_p50_ms: float
    age_p95_ms: float
    rung: str
    """Where the governor rests at the end."""
    verdict: str


class Camera:
    """Puts pictures into a session at its rate."""

    def __init__(self, session: LiveSession, pictures: list[Picture], fps: float) -> None:
        self._session, self._pictures, self._fps = session, pictures, fps
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        begun, number = live_clock(), 0
        while not self._ended.wait(max(0.0, begun + number / self._fps - live_clock())):
            self._session.intake.put(self._pictures[number % len(self._pictures)])
            # What a camera missed it does not make up.
            number = max(number, int((live_clock() - begun) * self._fps)) + 1


class SlowedPainter:
    """A client whose paintings come `times` as late while it is slowed."""

    def __init__(self, client: Client, times: float) -> None:
        self._client, self._times = client, times
        self.slowed = False
        self.styles = client.styles

    def submit(self, pixels: Picture, **options: Any) -> Future[Any]:
        begun, later = time.monotonic(), Future[Any]()

        def done(found: Future[Any]) -> None:
            def finish() -> None:
                later.set_exception(error) if (error := found.exception()) else later.set_result(found.result())

            wait = (self._times - 1) * (time.monotonic() - begun) if self.slowed else 0.0
            threading.Timer(wait, finish).start() if wait else finish()

        self._client.submit(pixels, **options).add_done_callback(done)
        return later


class Ages:
    """An outlet that notes how old each painting is."""

    wanted = True

    def __init__(self) -> None:
        self.all: list[tuple[float, float]] = []

    def offer(self, shown: ShownPicture) -> None:
        now = live_clock()
        if not shown.mark:
            self.all.append((now, now - shown.plate.taken_s))


def live_figures() -> list[LiveFigure]:
    """All cases, on a socket and, where it is installed, in Chromium; one server for all."""
    with rendering() as client:
        pages: list[tuple[str, Callable[..., Any]]] = [("socket", socket_page)]
        if CHROMIUM is not None:
            pages.append(("Chromium", chromium_page))
        return [measured(client, case, name, page) for case in CASES for name, page in pages]


def recovery_frames() -> int:
    """After ten seconds in which painting takes ten times as long: paintings until one is young enough again.

    All there were in three seconds, where none was: on a machine that is too busy for the limit at any time.
    """
    case = Case("wheatfield", (640, 360), 30, "auto")
    with rendering() as client:
        painter, ages = SlowedPainter(client, 10), Ages()
        with LiveSession(plan_of(case), painter, (ages,)) as session, Camera(session, plates(case), case.fps):
            time.sleep(WARM_S)
            painter.slowed = True
            time.sleep(10)
            painter.slowed = False
            ended = live_clock()
            time.sleep(3)
        after = [age for at, age in ages.all if at >= ended]
    return next((count for count, age in enumerate(after) if age <= LATENCY_S), len(after))


def rung_costs(rounds: int = 21) -> dict[str, float]:
    """What a draft costs at half the size, with its strokes as they are and scaled along; over the whole size.

    The best of interleaved rounds, so that neighbours on the machine weigh on all alike.
    """
    plate = plates(CASES[0])[0]
    half = resized(plate, (320, 180))
    kinds = {"whole": (plate, 1.0), "half size": (half, 1.0), "half size, half the stroke": (half, 0.5)}
    best = dict.fromkeys(kinds, float("inf"))
    with rendering() as client:
        for _ in range(rounds):
            for name, (pixels, stroke) in kinds.items():
                begun = time.perf_counter()
                client.submit(pixels, style="wheatfield-draft", params={"stroke": stroke}).result(60).release()
                best[name] = min(best[name], time.perf_counter() - begun)
    return {name: seconds / best["whole"] for name, seconds in best.items()}


def measured(client: Client, case: Case, name: str, page: Callable[..., Any]) -> LiveFigure:
    """One case on one kind of page."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        room = LiveRoom()
        stack.callback(room.close)
        session = stack.enter_context(LiveSession(plan_of(case), client, (room.outlet,)))
        stack.enter_context(Camera(session, plates(case), case.fps))
        room.show(session)
        viewer: Viewer = stack.enter_context(page(room, folder))
        time.sleep(WARM_S)
        begun = live_clock()
        viewer.ages = SpanOfValues(10 * SECONDS)
        painted, costs, cpu_s = session.figures().painted, [], time.process_time()
        while live_clock() - begun < SECONDS:
            time.sleep(0.5)
            figures = session.figures()
            costs.append(figures.painting_ms)
        now = live_clock()
        painted = session.figures().painted - painted
        cpu_ms = 1e3 * (time.process_time() - cpu_s) / max(1, painted)
        fps = painted / (now - begun)
        painting = float(np.median(costs))
        p50, p95 = (1e3 * viewer.ages.share(now, share) for share in (0.5, 0.95))
    met = p50 <= painting + P50_BAR_MS and p95 <= painting + P95_BAR_MS
    verdict = "met" if met else "missed"
    return LiveFigure(
        case.style, case.frame, case.quality, name, fps, cpu_ms, painting, p50, p95, figures.rung, verdict
    )


@contextmanager
def socket_page(room: LiveRoom, folder: Path) -> Iterator[Viewer]:
    """A page that takes each picture over its socket and says at once that it shows it, in a process of its own."""
    from impasto.hosts.web.live_socket import live_routes

    with running_pages(settings_in(folder, connect=connect_again), live_routes(room)) as pages:
        from impasto.hosts.web.guard import cookie_value

        cookie = f"{pages.settings.cookie}={cookie_value(pages.settings)}"
        command = [sys.executable, "-c", LISTENER, f"ws://127.0.0.1:{pages.settings.port}/live/socket",
                   pages.settings.base, cookie]  # fmt: skip
        process = subprocess.Popen(command)
        try:
            yield next(iter(until(lambda: room.outlet._viewers)))
        finally:
            process.kill()
            process.wait()


LISTENER = """
import json, struct, sys
from websockets.sync.client import connect
with connect(sys.argv[1], origin=sys.argv[2], additional_headers={"Cookie": sys.argv[3]}, proxy=None, max_size=None,
             compression=None) as socket:
    for message in socket:
        if isinstance(message, bytes):
            (length,) = struct.unpack_from("<I", message)
            socket.send(json.dumps({"shown": json.loads(message[4 : 4 + length])["n"]}))
"""


@contextmanager
def chromium_page(room: LiveRoom, folder: Path) -> Iterator[Viewer]:
    """The page itself, without the wipe, in a window of 1280x720."""
    from playwright.sync_api import sync_playwright

    from impasto.hosts.web.live_socket import live_routes

    with (
        running_pages(settings_in(folder, connect=connect_again), live_routes(room)) as pages,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(f"{pages.settings.base}/live?token={pages.settings.token}")
        viewer = next(iter(until(lambda: room.outlet._viewers)))
        page.keyboard.press("w")
        yield viewer


def connect_again() -> Client:
    """A session of the page's own with the server that runs."""
    return Client.connect(start=False, name="impasto web")


def plan_of(case: Case) -> SessionPlan:
    return SessionPlan(parse_source("browser"), case.style, {}, quality=case.quality, latency_s=LATENCY_S)


def plates(case: Case) -> list[Picture]:
    """The sample clip in the size of the case, two seconds of it."""
    draw = np.random.default_rng(7)
    made = []
    with open_reader(str(CLIP)) as reader:
        for frame, _ in zip(reader, range(48), strict=False):
            pixels = resized(frame.part.pixels, case.size)
            if case.noisy:
                pixels = np.clip(pixels + draw.normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8)
            made.append(np.ascontiguousarray(pixels))
    return made


@contextmanager
def rendering() -> Iterator[Client]:
    """A render server of its own."""
    folder = tempfile.mkdtemp(prefix="impasto-live-", dir="/tmp")
    before = os.environ.get("IMPASTO_RUNTIME")
    os.environ["IMPASTO_RUNTIME"] = folder
    try:
        with Client.connect(name="impasto live") as client:
            yield client
            client.shut_down(at_once=True)
    finally:
        os.environ.pop("IMPASTO_RUNTIME")
        if before is not None:
            os.environ["IMPASTO_RUNTIME"] = before
        shutil.rmtree(folder, ignore_errors=True)
