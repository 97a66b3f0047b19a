"""The pages beside a real render server, in Debian's Chromium: how soon they show, answer, and what they cost.

What painting takes belongs to the server; a slider's figure is the rest of the way: request, scaling, JPEG, network,
decoding, drawing. Memory and processor time are those of the processes, so that a busy machine does not change them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil
from playwright.sync_api import BrowserContext, Page, sync_playwright

from impasto.hosts.web.app import PAGES
from impasto.server.client import Client
from tests.hosts.web.conftest import CHROMIUM
from tests.waiting import until

MEDIA = Path(__file__).resolve().parents[1] / "media"
COMMAND = (sys.executable, "-m", "impasto.hosts.terminal")
STYLE = "wheatfield-draft"
SIDE = 640
"""The sample clip is scaled to 640x360."""
ROUNDS = 60
TABS = 10
STATUS_S = 30.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
SETTLED = "document.querySelector('#viewer.filled:not(.waiting)') !== null"
TURN = """async ([style, side, strength]) => {
    const { painted } = await import('/static/painter.js');
    const asked = { picture: window.plate, style, params: { strength }, side, as: 'jpeg', viewer: 'bench' };
    const { picture, facts } = await painted(asked);
    const canvas = document.querySelector('#viewer canvas');
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return [facts.waited, facts.seconds];
}"""
PLATE = """async (path) => {
    const { api } = await import('/static/api.js');
    window.plate = (await api('/api/plate', { json: { path, frame: 1 } })).id;
}"""


@dataclass(frozen=True, slots=True)
class PageFigure:
    """One figure, and the bar of the issue that asked for it."""

    name: str
    value: float
    unit: str
    bar: float | None

    @property
    def verdict(self) -> str:
        """Whether the bar is met."""
        return "-" if self.bar is None else "met" if self.value <= self.bar else "missed"


def page_figures(soak_s: float = 180.0) -> list[PageFigure]:
    """All of them; `soak_s` is how long ten tabs turn their sliders."""
    with tempfile.TemporaryDirectory(prefix="impasto-", dir="/tmp") as folder:
        os.environ["IMPASTO_RUNTIME"] = folder
        pages = subprocess.Popen(
            [*COMMAND, "web", "--port", "0", "--plates", f"media={MEDIA}"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert pages.stdout is not None
            address = next(word for word in pages.stdout.readline().split() if word.startswith("http")).rstrip(";")
            return _measured(address, psutil.Process(pages.pid), soak_s)
        finally:
            pages.terminate()
            pages.wait()
            subprocess.run([*COMMAND, "stop", "--now"], check=False, capture_output=True)


def _measured(address: str, process: psutil.Process, soak_s: float) -> list[PageFigure]:
    base = address.partition("/?")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(address)
        page.goto(f"{base}/look?plate=media:harbour.mp4")
        until(lambda: page.evaluate(SETTLED), 300)  # the server is up and the style is warm
        figures = [_first_paint(page, base, each.name) for each in PAGES]
        figures += _slider(page, base)
        figures.append(_status(page, base, process))
        figures.append(_soak(context, base, process, soak_s))
        figures.append(PageFigure("all files of the pages", _file_kilobytes(), "kB", 100))
        browser.close()
    return figures


def _first_paint(page: Page, base: str, name: str) -> PageFigure:
    """The median of seven visits, first contentful paint, without a cache (the pages are `no-store`)."""
    found = []
    for _ in range(7):
        page.goto(f"{base}/{name}", wait_until="load")
        found.append(float(until(lambda: page.evaluate(PAINT))))
    return PageFigure(f"first paint of {name}", median(found) / 1000, "s", 0.3)


def _slider(page: Page, base: str) -> list[PageFigure]:
    """From a slider to a picture of 640x360 on the canvas, without what the server took to paint it."""
    page.goto(f"{base}/server")
    page.evaluate("document.body.append(Object.assign(document.createElement('div'), { id: 'viewer' }))")
    page.evaluate("document.getElementById('viewer').append(document.createElement('canvas'))")
    page.evaluate(PLATE, "media:harbour.mp4")
    beyond = []
    for turn in range(ROUNDS + 5):
        waited, painting = page.evaluate(TURN, [STYLE, SIDE, 0.5 + turn / 200])
        beyond.append(1000 * (waited - painting))
    return [
        PageFigure("slider to picture beyond painting, p50", median(beyond[5:]), "ms", 100),
        PageFigure("slider to picture beyond painting, p95", quantiles(beyond[5:], n=20)[-1], "ms", None),
    ]


def _status(page: Page, base: str, process: psutil.Process) -> PageFigure:
    """Processor time of the front with the page Server open, less that with no page open; per cent of a core."""
    with Client.connect(start=False, control_only=True) as client:
        front = psutil.Process(client.status().pid)

    def share() -> float:
        before, began = sum(front.cpu_times()[:2]), time.monotonic()
        time.sleep(STATUS_S)
        return 100 * (sum(front.cpu_times()[:2]) - before) / (time.monotonic() - began)

    page.goto("about:blank")
    alone = share()
    page.goto(f"{base}/server")
    return PageFigure("status costs the front", share() - alone, "% of a core", 0.2)


def _soak(context: BrowserContext, base: str, process: psutil.Process, soak_s: float) -> PageFigure:
    """Growth of the memory of the process behind ten tabs, from their first minute to the end."""
    tabs = [context.new_page() for _ in range(TABS)]
    for tab in tabs:
        tab.goto(f"{base}/look?plate=media:harbour.mp4")
    for tab in tabs:
        until(lambda tab=tab: tab.evaluate(SETTLED), 300)  # type: ignore[misc]

    def turn(seconds: float) -> None:
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            tab = tabs[count % TABS]
            tab.get_by_label("strength, as a number").fill(f"{0.3 + count % 60 / 100:.2f}")
            tab.get_by_label("strength, as a number").press("Enter")
            if count % 7 == 0:  # forth and back: plates are kept, so that new ones would count as growth
                tab.locator("#next" if count % 2 else "#back").click()
            count += 1

    turn(min(60.0, soak_s / 2))
    before = process.memory_info().rss
    turn(soak_s)
    grown = (process.memory_info().rss - before) / (1 << 20)
    return PageFigure(f"memory growth, {TABS} tabs for {soak_s:.0f} s", grown, "MiB", 10)


def _file_kilobytes() -> float:
    from impasto.hosts.web.app import STATIC

    return sum(file.stat().st_size for file in STATIC.iterdir()) / 1000
