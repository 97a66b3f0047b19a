"""Makes the pictures of the pages in hosts/web/README.md: `python -m tests.media.web_pages`.

A real render server paints the sample clip in real styles, and a run is trained for 800 steps. Needs Chromium and the
extras web and training. Takes a few minutes on two cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

from impasto.hosts.live.session import LiveSession, SessionPlan
from impasto.hosts.live.sources import parse_source
from impasto.hosts.terminal.web.command import connection
from impasto.hosts.web.live_room import LiveRoom
from impasto.hosts.web.live_socket import live_routes
from impasto.server.client import Client
from impasto.server.runtime_dir import running
from impasto.server.settings import Root
from tests.hosts.web.conftest import CHROMIUM, Pages, running_pages, settings_in
from tests.waiting import until

HERE = Path(__file__).resolve().parent
LIMIT_MS = 300_000
MOST_BYTES = 80_000
WIDTH = 1000
IMPASTO = (sys.executable, "-m", "impasto.hosts.terminal")
DONE = """document.querySelector('#viewer.filled:not(.waiting)')
    && document.querySelectorAll('.neighbour').length === 5 && !document.querySelector('.neighbour.stale')
    && [...document.querySelectorAll('.card canvas')].every((each) => each.width > 16)"""
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def main() -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory(prefix="impasto-", dir="/tmp") as scratch:
        folder = Path(scratch)
        os.environ["IMPASTO_RUNTIME"] = str(folder / "run")
        os.environ["XDG_CONFIG_HOME"] = str(folder)
        try:
            with served_pages(folder) as pages, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                page = browser.new_context(viewport=DESK).new_page()
                page.set_default_timeout(LIMIT_MS)
                expect.set_options(timeout=LIMIT_MS)
                page.goto(pages.settings.address)
                for name, show in SHOWN.items():
                    show(page, pages)
                    shoot(page, name)
                browser.close()
        finally:
            if running(folder / "run") is not None:
                with Client.connect(start=False, control_only=True) as client:
                    client.shut_down(at_once=True)


@contextmanager
def served_pages(folder: Path) -> Iterator[Pages]:
    """Pages with the sample clip as plate, and a run that learns the pencil from two painted frames."""
    (folder / "runs" / "hero.keys").mkdir(parents=True)
    clip = str(HERE / "harbour.mp4")
    for frame in (5, 30):
        output = str(folder / "runs" / "hero.keys" / f"harbour.{frame:04d}.png")
        command = [*IMPASTO, "render", clip, output, "--frames", str(frame), "--style", "pencil"]
        subprocess.run(command, check=True, capture_output=True)
    output = str(folder / "runs" / "hero.safetensors")
    command = [
        *IMPASTO,
        "train",
        "keyframes",
        "--plates",
        clip,
        "--keys",
        str(folder / "runs" / "hero.keys"),
        "-o",
        output,
    ]
    subprocess.run([*command, "--steps", "800", "--size", "draft", "--crop", "128"], check=True, capture_output=True)
    roots = {"plates": Root(HERE)}, {"runs": Root(folder / "runs", writable=True)}
    settings = replace(settings_in(folder, plates=roots[0], runs=roots[1]), connect=connection(None, None))
    room, source = LiveRoom(), parse_source(clip, loop=True)
    plan = SessionPlan(source, "wheatfield", {}, quality="full", largest=(640, 360))
    with (
        running_pages(settings, live_routes(room)) as pages,
        settings.connect() as client,
        LiveSession(plan, client, (room.outlet,)) as session,
    ):
        room.show(session)
        yield pages
    room.close()


def painted(page: Page) -> None:
    """Wait for the picture, its neighbours and the styles."""
    until(lambda: page.evaluate(DONE), LIMIT_MS / 1000, pause_s=0.3)


def look(page: Page, pages: Pages) -> None:
    """A plate against a style."""
    page.set_viewport_size(DESK)
    page.goto(f"{pages.settings.base}/look?plate=plates:harbour.mp4")
    page.get_by_role("button", name="Wheat field").first.click()
    page.get_by_label("detail, as a number").fill("0.3")
    page.get_by_label("detail, as a number").press("Enter")
    painted(page)


def two_styles(page: Page, pages: Pages) -> None:
    """A blend and a style beside each other."""
    page.locator("#compare").click()
    page.get_by_role("button", name="Atelier").first.click()
    for name, weight in (("wheatfield", "0"), ("ink", "0.6"), ("pencil", "0.4")):
        page.get_by_label(f"{name}, as a number").fill(weight)
        page.get_by_label(f"{name}, as a number").press("Enter")
    page.locator("#side").click()
    painted(page)


def look_on_a_phone(page: Page, pages: Pages) -> None:
    """The same on a phone."""
    page.set_viewport_size(PHONE)
    painted(page)


def runs(page: Page, pages: Pages) -> None:
    """A run, half-way."""
    page.set_viewport_size(DESK)
    page.goto(f"{pages.settings.base}/runs?run=runs:hero.run")
    expect(page.locator(".wipe.filled")).to_be_visible()
    for _ in range(2):
        page.locator("#pin").focus()
        page.keyboard.press("ArrowLeft")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)


def server(page: Page, pages: Pages) -> None:
    """The server after some work, while another program renders."""
    page.set_viewport_size(DESK)
    plate = pages.ask("/api/plate", sent={"path": "plates:harbour.mp4", "frame": 1}).json["id"]
    pages.ask("/api/frame", sent={"picture": plate, "style": "atelier@chalk", "viewer": "x"})
    page.goto(f"{pages.settings.base}/server")
    output = str(pages.settings.runs["runs"].folder / "harbour.mp4")
    subprocess.Popen([*IMPASTO, "render", str(HERE / "harbour.mp4"), output], stderr=subprocess.DEVNULL)
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    page.wait_for_timeout(2000)


def live(page: Page, pages: Pages) -> None:
    """The sample clip, painted as it plays."""
    page.set_viewport_size(DESK)
    page.goto(f"{pages.settings.base}/live")
    until(lambda: page.evaluate("Number(document.body.dataset.shown || 0) > 40"), LIMIT_MS / 1000, pause_s=0.3)
    expect(page.locator("#live-problem")).to_be_empty()


def live_on_a_phone(page: Page, pages: Pages) -> None:
    """The same on a phone."""
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(1000)


SHOWN: dict[str, Callable[[Page, Pages], None]] = {
    "web_look": look,
    "web_two_styles": two_styles,
    "web_look_phone": look_on_a_phone,
    "web_runs": runs,
    "web_live": live,
    "web_live_phone": live_on_a_phone,
    "web_server": server,
}


def shoot(page: Page, name: str) -> None:
    """Store the page as a JPEG of at most `MOST_BYTES`, scaled to `WIDTH` where it is wider."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width = picture.shape[:2]
    if width > WIDTH:
        picture = cv2.resize(picture, (WIDTH, round(height * WIDTH / width)), interpolation=cv2.INTER_AREA)
    for quality in range(90, 20, -5):
        found = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if len(found) <= MOST_BYTES:
            break
    (HERE / f"{name}.jpg").write_bytes(found.tobytes())
    print(f"{name}.jpg: {len(found) // 1000} kB, quality {quality}")


if __name__ == "__main__":
    main()
