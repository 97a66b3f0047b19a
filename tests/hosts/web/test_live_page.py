"""The Live page in Debian's Chromium, with a real server behind it whose workers are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.hosts.live.session import LiveSession, SessionPlan
from impasto.hosts.live.sources import parse_source
from impasto.hosts.web.live_room import LiveRoom
from impasto.hosts.web.live_socket import live_routes
from impasto.hosts.web.settings import WebSettings
from impasto.server.client import Client
from tests.hosts.web.conftest import CHROMIUM, running_pages, settings_in
from tests.server.running_server import ServerThread, served
from tests.waiting import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
Page = Any
"""Of Playwright, which may not be there."""


@dataclass
class Stand:
    """Pages that are served, and a browser to open them in."""

    room: LiveRoom
    settings: WebSettings
    context: Any
    session: LiveSession | None

    def open(self, query: str = "") -> Page:
        page = self.context.new_page()
        page.goto(f"{self.settings.base}/live?token={self.settings.token}{query}")
        return page


def web_settings(server: ServerThread, folder: Path, **more: Any) -> WebSettings:
    return settings_in(folder, connect=lambda: Client.connect(server.folder, start=False), **more)


@contextmanager
def standing(
    server: ServerThread, browser: Any, folder: Path, source: str = "", *, style: str = "invert", **context: Any
) -> Iterator[Stand]:
    """A page on a session with this source; without one, a page that may begin a session."""
    with ExitStack() as stack:
        settings = web_settings(server, folder)
        room = LiveRoom(None if source else settings.connect)
        stack.callback(room.close)
        settings = stack.enter_context(running_pages(settings, live_routes(room))).settings
        session = None
        if source:
            client = stack.enter_context(settings.connect())
            address = parse_source(source, loop=source != "browser")
            plan = SessionPlan(address, style, {}, quality="full", largest=(320, 180))
            session = stack.enter_context(LiveSession(plan, client, (room.outlet,)))
            room.show(session)
            stack.callback(room.show, None)
        opened = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
        stack.callback(opened.close)
        yield Stand(room, settings, opened, session)


@pytest.fixture
def stand(render_server: ServerThread, browser: Any, tmp_path: Path, repository: Path) -> Iterator[Stand]:
    with standing(render_server, browser, tmp_path, str(repository / "tests/media/harbour.mp4")) as made:
        yield made


def shown(page: Page, more: int = 3) -> int:
    """Once the page has shown so many more pictures, how many that is."""
    count: Callable[[], int] = lambda: int(page.evaluate("Number(document.body.dataset.shown || 0)"))  # noqa: E731
    before = count()
    until(lambda: count() >= before + more, what="for pictures on the page", pause_s=0.05)
    return count()


def pixels(page: Page, x: float) -> tuple[list[int], list[int]]:
    """The mean colour of a patch of plate and painting at one moment, half-way down."""
    patches = page.evaluate(
        """(x) => [...document.querySelectorAll('#live-view canvas')].map((canvas) =>
        [...canvas.getContext('2d').getImageData(x * canvas.width, canvas.height / 2, 16, 16).data])""",
        x,
    )
    plate, painting = (np.reshape(patch, (256, 4))[:, :3].mean(0).round().tolist() for patch in patches)
    return plate, painting


def divider(page: Page) -> float:
    return float(page.get_attribute("#live-view .divider", "aria-valuenow"))


def test_plate_and_painting_are_of_one_moment_on_both_sides_of_the_wipe(stand: Stand) -> None:
    page = stand.open()
    shown(page, 8)
    for x in (0.1, 0.5, 0.9):
        plate, painting = pixels(page, x)
        assert all(abs(one + two - 255) < 12 for one, two in zip(plate, painting, strict=True))  # inverted
    assert "token" not in page.url


def test_everything_goes_by_keyboard(stand: Stand) -> None:
    assert stand.session is not None
    page = stand.open()
    shown(page)
    page.keyboard.press("ArrowLeft")
    assert divider(page) == 45
    page.keyboard.press("w")
    assert page.locator("#live-view .divider").is_hidden()
    page.keyboard.down(" ")
    until(lambda: " 0%" in page.eval_on_selector("#live-view canvas", "each => each.style.clipPath"))  # the plate alone
    page.keyboard.up(" ")
    setting = stand.session.setting
    names = list(setting.styles)
    page.keyboard.press("4")
    until(lambda: setting.look.style == names[3])
    page.keyboard.press("ArrowDown")
    until(lambda: setting.look.style == names[4])
    until(lambda: page.locator(f"[data-style='{setting.look.style}'][aria-selected=true]").count() == 1)
    page.focus("#live-sliders input[type=range]")
    page.keyboard.press("Home")
    until(lambda: setting.look.params.get("strength") == 0.0)
    page.keyboard.press("End")
    until(lambda: "strength" not in setting.look.params)  # the style's own again
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.quality") == "draft":
            break
    page.keyboard.press("Enter")
    until(lambda: setting.quality == "draft")


def test_two_tabs_show_one_look(stand: Stand) -> None:
    one, two = stand.open(), stand.open()
    shown(one), shown(two)
    one.click("[data-style=echo]")
    until(lambda: two.locator("[data-style=echo][aria-selected=true]").count() == 1)
    assert stand.room.outlet.viewers == 2
    two.close()
    until(lambda: stand.room.outlet.viewers == 1)
    shown(one)


def test_plates_travel_only_while_they_are_seen(stand: Stand) -> None:
    page = stand.open()
    shown(page)
    (viewer,) = stand.room.outlet._viewers
    assert viewer.wants_plate
    page.keyboard.press("w")
    until(lambda: not viewer.wants_plate)
    until(lambda: page.inner_text("[data-of=painted]") not in ("–", "0.0/s"))
    assert "ms" in page.inner_text("[data-of=age]")


def test_the_camera_of_the_browser_is_painted(render_server: ServerThread, browser: Any, tmp_path: Path) -> None:
    with standing(render_server, browser, tmp_path, "browser", permissions=["camera"]) as stand:
        assert stand.session is not None
        page = stand.open()
        shown(page, 10)
        assert stand.session.figures().came > 5
        plate, painting = pixels(page, 0.25)
        assert all(abs(one + two - 255) < 40 for one, two in zip(plate, painting, strict=True))


def test_a_page_may_begin_with_its_own_camera(render_server: ServerThread, browser: Any, tmp_path: Path) -> None:
    with standing(render_server, browser, tmp_path, permissions=["camera"]) as stand:
        page = stand.open()
        button = page.locator("#live-begin")
        button.wait_for(state="visible")
        button.click()
        shown(page, 5)
        assert stand.room.session is not None


def test_a_session_that_is_lost_is_said_and_taken_up_again(
    render_server: ServerThread, browser: Any, tmp_path: Path, repository: Path
) -> None:
    settings = web_settings(render_server, tmp_path)
    room = LiveRoom()
    source = parse_source(str(repository / "tests/media/harbour.mp4"), loop=True)
    with (
        settings.connect() as client,
        LiveSession(SessionPlan(source, "invert", {}, largest=(320, 180)), client, (room.outlet,)) as session,
    ):
        room.show(session)
        context = browser.new_context()
        with running_pages(settings, live_routes(room)) as pages:
            first = pages.settings
            page = Stand(room, first, context, session).open()
            shown(page)
        until(lambda: page.evaluate("document.body.classList.contains('stale')"))
        assert page.locator("#banner").is_visible()
        with running_pages(replace(first, token="another" * 6), live_routes(room)):
            until(lambda: page.locator("#banner").is_visible())  # another token: it stays refused
        with running_pages(first, live_routes(room)):
            shown(page)
            until(lambda: page.locator("#banner").is_hidden())
        context.close()
    room.close()


def test_bare_is_the_painting_alone_over_the_whole_window(stand: Stand) -> None:
    page = stand.open("&bare=1")
    shown(page)
    box = page.locator("#live-view .stage").bounding_box()
    assert box["width"] == pytest.approx(1280, abs=1)
    assert not page.locator("header").is_visible()
    assert not page.locator("#live-figures").is_visible()
    (viewer,) = stand.room.outlet._viewers
    assert not viewer.wants_plate


def test_a_phone_sees_picture_styles_and_sliders(
    render_server: ServerThread, browser: Any, tmp_path: Path, repository: Path
) -> None:
    with standing(
        render_server, browser, tmp_path, str(repository / "tests/media/harbour.mp4"), device_scale_factor=2
    ) as stand:
        page = stand.open()
        page.set_viewport_size({"width": 390, "height": 844})
        shown(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = page.locator("#live-view .stage").bounding_box()
        assert box["width"] == pytest.approx(390, abs=2)
        assert page.locator("#live-sliders .slider").first.bounding_box()["y"] < 844


def test_a_server_that_goes_leads_to_a_mark_and_a_sentence(browser: Any, tmp_path: Path, repository: Path) -> None:
    with (
        served(("invert",)) as server,
        standing(server, browser, tmp_path, str(repository / "tests/media/harbour.mp4")) as stand,
    ):
        page = stand.open()
        shown(page)
        with Client.connect(server.folder, start=False, control_only=True) as other:
            other.shut_down(at_once=True)
        until(lambda: page.evaluate("document.body.dataset.mark"), pause_s=0.05)
        until(lambda: page.inner_text("#live-problem").startswith("Not painted"), pause_s=0.05)


@pytest.mark.parametrize(
    "sent",
    ['"no map"', "{", '{"style": "nobody"}', '{"params": {"strength": 9}}', '{"params": 3}', '{"quality": "best"}'],
)
def test_a_message_that_cannot_be_obeyed_is_answered_with_a_sentence(stand: Stand, sent: str) -> None:
    assert stand.session is not None
    page = stand.open()
    shown(page)
    before = stand.session.setting.revision
    answer = page.evaluate(
        """(sent) => new Promise((resolve) => { const socket = new WebSocket(`ws://${location.host}/live/socket`);
        socket.onopen = () => socket.send(sent);
        socket.onmessage = ({ data }) => typeof data === 'string' && JSON.parse(data).kind === 'problem'
          && resolve(JSON.parse(data).message); })""",
        sent,
    )
    assert answer
    assert stand.session.setting.revision == before
    shown(page)
