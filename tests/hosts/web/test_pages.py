"""The pages in a real browser: painted, wiped, tuned by mouse and by keyboard, and what goes wrong as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from impasto.core.errors import RequestCancelled
from impasto.hosts.web.app import PAGES
from impasto.server.client import Client
from tests.hosts.web.conftest import CHROMIUM, WAIT_S, Pages, running_pages
from tests.hosts.web.test_runs import log_sheets, png, run_in, trainer
from tests.server.running_server import ServerThread
from tests.waiting import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
MEDIA = Path(__file__).parents[2] / "media"
LIMIT_MS = int(WAIT_S * 1000)
expect.set_options(timeout=LIMIT_MS)

PLACES = """() => ['viewer', 'facts', 'strip', 'params', 'copy']
    .map((id) => JSON.stringify(document.getElementById(id).getBoundingClientRect()))"""
BOXES = "() => [...document.querySelectorAll('#viewer canvas')].map((each) => each.getBoundingClientRect().toJSON())"
# Every control that can be seen, and how it is told from others.
CONTROLS = """() => [...document.querySelectorAll(
    'a[href], button, input, select, summary, [role=slider], [tabindex="0"]')]
    .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({visibilityProperty: true})
        && each.closest('.wipe:not(.filled)') === null)
    .map((each) => each.dataset.told = each.dataset.told || Math.random().toString())"""
PIXELS = """([side, x, y]) => {
    const canvas = document.querySelectorAll('#viewer canvas')[side];
    return [...canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture
def tab(browser: Browser, pages: Pages) -> Iterator[Page]:
    """A tab of an admitted browser. What its console complains of fails the test."""
    context = admitted(browser, pages)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert not complaints


def admitted(browser: Browser, pages: Pages, **more: Any) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **more)
    context.set_default_timeout(LIMIT_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=pages.settings.base)
    context.new_page().goto(pages.settings.address)
    return context


def look_at(tab: Page, pages: Pages, plate: str = "media:lantern.####.exr", style: str = "invert") -> None:
    """The page Look with a plate, painted in a style."""
    tab.goto(f"{pages.settings.base}/look?plate={quote(plate)}")
    tab.get_by_role("button", name=style, exact=False).first.click()
    settled(tab)


def settled(tab: Page) -> None:
    """Wait until what was wished for is painted."""
    expect(tab.locator("#viewer")).to_have_class(having("filled"))
    expect(tab.locator("#viewer")).not_to_have_class(having("waiting"))


def having(name: str) -> re.Pattern[str]:
    """Matches the class attribute of an element that has this class among others."""
    return re.compile(rf"(^|\s){name}(\s|$)")


def pixel(tab: Page, side: int, x: float = 0.5, y: float = 0.5) -> list[int]:
    found: list[int] = tab.evaluate(PIXELS, [side, x, y])
    return found


def is_inverted(tab: Page) -> bool:
    pairs = [(pixel(tab, 0, x, 0.5), pixel(tab, 1, x, 0.5)) for x in (0.2, 0.5, 0.8)]
    return all(abs(255 - one - other) < 24 for left, right in pairs for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("name", [page.name for page in PAGES])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_fits_its_window_and_its_controls_are_reached_by_keyboard(
    tab: Page, pages: Pages, name: str, width: int
) -> None:
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto(f"{pages.settings.base}/{name}")
    expect(tab.locator(f'nav a[href="/{name}"]')).to_have_attribute("aria-current", "page")
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
    expect(tab.locator("#old")).to_be_hidden()
    wanted = set(tab.evaluate(CONTROLS))
    reached = set()
    for _ in range(len(wanted) + 5):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.dataset.told"))
    assert wanted <= reached


def test_a_plate_is_chosen_and_painted_by_keyboard_alone(tab: Page, pages: Pages) -> None:
    tab.goto(f"{pages.settings.base}/look")
    expect(tab.locator("#styles button").first).to_be_visible()
    tab.keyboard.press("o")
    expect(tab.locator("#picker .entry")).to_have_count(1)
    tab.keyboard.press("Enter")
    expect(tab.locator("#picker .entry").nth(2)).to_be_visible()
    names = tab.locator("#picker .entry span:first-child").all_inner_texts()
    for _ in range(names.index("lantern.####.exr")):
        tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    styles = tab.locator("#styles .title").all_inner_texts()
    tab.keyboard.press(str(next(index for index, text in enumerate(styles, start=1) if "invert" in text.lower())))
    settled(tab)
    until(lambda: is_inverted(tab), what="for the inverted plate")
    for key, frame in (("ArrowRight", "1002"), ("ArrowRight", "1003"), ("ArrowLeft", "1002")):
        tab.keyboard.press(key)
        expect(tab.locator("#frame")).to_have_value(frame)


def test_the_wipe_follows_keyboard_and_mouse(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    divider = tab.locator(".divider")
    divider.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "40")
    box = tab.locator(".stage").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=4)
    tab.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "75")
    assert "inset(0px 25" in tab.locator("#viewer canvas").first.evaluate("each => getComputedStyle(each).clipPath")
    tab.locator("#zoom").focus()
    tab.keyboard.press("w")
    expect(divider).to_be_hidden()
    tab.locator("#viewer").focus()
    tab.keyboard.down(" ")
    expect(tab.locator(".name.left")).to_be_visible()
    expect(tab.locator(".name.right")).to_be_hidden()
    tab.keyboard.up(" ")
    expect(tab.locator(".name.right")).to_be_visible()


# Counts the frames of the left look that are asked for, and how many at once.
COUNTING = """
window.asked = []; window.most = 0; let now = 0;
const plain = window.fetch;
window.fetch = async (path, sent) => {
    const counts = String(path).endsWith('/api/frame') && JSON.parse(sent.body).viewer.endsWith('-a');
    if (counts) { window.asked.push(JSON.parse(sent.body)); window.most = Math.max(window.most, ++now); }
    try { return await plain(path, sent); } finally { if (counts) now--; }
};"""


def test_sliders_never_have_more_than_one_frame_under_way_and_end_at_the_newest(tab: Page, pages: Pages) -> None:
    tab.add_init_script(COUNTING)
    look_at(tab, pages, style="slow-100ms")
    before = tab.evaluate("asked.length")
    tab.get_by_label("strength", exact=True).focus()
    for _ in range(60):
        tab.keyboard.press("ArrowLeft")
    expect(tab.get_by_label("strength, as a number")).to_have_value("0.7")
    settled(tab)
    assert tab.evaluate("asked.at(-1).params") == {"strength": 0.7}
    assert tab.evaluate("most") == 1
    assert 1 <= tab.evaluate("asked.length") - before < 60
    tab.get_by_label("Reset strength").click()
    settled(tab)
    assert tab.evaluate("asked.at(-1).params") == {}


def test_a_picture_that_takes_long_is_stopped(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    tab.get_by_role("button", name="slow-400ms").first.click()
    expect(tab.locator("#viewer")).to_have_class(having("waiting"))
    tab.keyboard.press("Escape")
    expect(tab.locator("#problem")).to_contain_text("cancelled")
    expect(tab.locator("#viewer")).not_to_have_class(having("waiting"))


def test_a_file_of_several_styles_is_blended_by_weight(tab: Page, pages: Pages) -> None:
    def with_codes(route: Route) -> None:
        found = route.fetch().json()
        next(each for each in found["styles"] if each["name"] == "echo")["codes"] = ["ink", "pencil", "cel"]
        route.fulfill(json=found)

    tab.route("**/api/styles", with_codes)
    tab.add_init_script(COUNTING)
    look_at(tab, pages)
    tab.get_by_role("button", name="echo").first.click()
    expect(tab.locator("#blend")).to_be_visible()
    assert tab.evaluate("asked.at(-1).style") == "echo@ink=1"
    for code, weight in (("ink", "0.6"), ("pencil", "0.4")):
        tab.get_by_label(f"{code}, as a number").fill(weight)
        tab.keyboard.press("Enter")
    until(lambda: tab.evaluate("asked.at(-1).style") == "echo@ink=0.6+pencil=0.4")
    tab.get_by_role("button", name="invert").first.click()
    expect(tab.locator("#blend")).to_be_hidden()


def test_two_styles_stand_beside_each_other(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    tab.keyboard.press("c")
    tab.get_by_role("button", name="echo").first.click()
    settled(tab)
    until(lambda: is_inverted(tab), what="for invert against echo")
    tab.keyboard.press("s")
    settled(tab)
    one, other = tab.evaluate(BOXES)  # both at one moment
    assert any(one[at] + one[size] <= other[at] for at, size in (("x", "width"), ("y", "height")))
    assert abs(one["width"] - other["width"]) < 1.5
    left = pixel(tab, 0)
    tab.locator("#viewer").focus()
    tab.keyboard.down(" ")
    until(lambda: pixel(tab, 0) == pixel(tab, 1), what="for the plate in both places")
    assert tab.locator(".name.left").inner_text() == "plate"
    tab.keyboard.up(" ")
    until(lambda: is_inverted(tab))
    assert pixel(tab, 0) == left


def test_one_pixel_of_the_plate_is_one_of_the_screen(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    tab.keyboard.press("z")
    expect(tab.locator("#zoom")).to_have_attribute("aria-pressed", "true")
    canvas = tab.locator("#viewer canvas").nth(1)
    until(lambda: canvas.evaluate("each => each.width === Math.round(each.getBoundingClientRect().width)"))


def test_neighbouring_frames_are_painted_and_played(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    expect(tab.locator(".neighbour:not(.stale)")).to_have_count(5)
    tab.keyboard.press("p")
    expect(tab.locator("#play")).to_have_attribute("aria-pressed", "true")
    tab.keyboard.press("p")
    settled(tab)
    tab.locator(".neighbour").nth(3).click()
    expect(tab.locator("#frame")).to_have_value("1004")


def test_nothing_moves_when_another_frame_or_style_comes(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    expect(tab.locator(".neighbour:not(.stale)")).to_have_count(5)
    before = tab.evaluate(PLACES)
    tab.keyboard.press("ArrowRight")
    tab.get_by_role("button", name="echo").first.click()
    assert tab.evaluate(PLACES) == before
    settled(tab)
    assert tab.evaluate(PLACES) == before


def test_the_look_is_copied_as_a_command_and_saved_as_a_preset(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    tab.get_by_label("detail, as a number").fill("0.25")
    tab.get_by_label("detail, as a number").press("Enter")
    tab.locator("#copy").click()
    expect(tab.locator("#said code")).to_contain_text("--style=invert --detail=0.25")
    assert tab.evaluate("navigator.clipboard.readText()") == tab.locator("#said code").inner_text()
    tab.locator("#save").click()
    tab.locator("#name").fill("in the browser")
    tab.keyboard.press("Enter")
    expect(tab.locator("#said")).to_contain_text("impasto render --preset 'in the browser'")
    tab.locator("#reset").click()
    tab.locator("#presets").select_option("in the browser")
    expect(tab.get_by_label("detail, as a number")).to_have_value("0.25")
    tab.locator("#save").click()
    tab.locator("#name").fill("in the browser")
    tab.keyboard.press("Enter")
    expect(tab.locator("#saveproblem")).to_contain_text("is there already; choose another.")


def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    return path


def renamed_movie(tmp_path: Path) -> Path:
    path = tmp_path / "shot.png"
    path.write_bytes((MEDIA / "harbour.mp4").read_bytes())
    return path


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (large, "Expected a picture of at most 64 MiB, 'large.png' has 100."),
        (renamed_movie, "'shot.png'"),
        (lambda folder: MEDIA / "harbour.mp4", "Expected a picture, got the movie 'harbour.mp4'"),
    ],
)
def test_what_is_no_picture_is_said_in_place(
    tab: Page, pages: Pages, tmp_path: Path, file: Callable[[Path], Path], said: str
) -> None:
    look_at(tab, pages)
    tab.locator("#file").set_input_files(file(tmp_path))
    expect(tab.locator("#problem")).to_contain_text(said)
    expect(tab.locator("#plate")).to_have_text("lantern.####.exr")


def test_a_style_that_fails_is_said_and_the_last_picture_stays_grey(tab: Page, pages: Pages) -> None:
    look_at(tab, pages)
    tab.get_by_role("button", name="fail").first.click()
    expect(tab.locator("#problem")).to_contain_text("Expected a style that paints, got 'fail'")
    expect(tab.locator("#viewer")).to_have_class(having("stale"))
    tab.get_by_role("button", name="invert").first.click()
    expect(tab.locator("#problem")).to_be_hidden()
    expect(tab.locator("#viewer")).not_to_have_class(having("stale"))


def test_a_plate_that_was_put_away_is_opened_again_once(tab: Page, pages: Pages) -> None:
    tab.add_init_script(COUNTING)
    look_at(tab, pages)
    store = pages.app.state.pictures
    store._plates.clear()
    tab.get_by_role("button", name="echo").first.click()
    until(
        lambda: (
            tab.evaluate("asked.length")
            and all(abs(a - b) < 12 for a, b in zip(pixel(tab, 0), pixel(tab, 1), strict=True))
        )
    )
    expect(tab.locator("#problem")).to_be_hidden()
    tab.goto(f"{pages.settings.base}/look?plate=media:harbour.mp4&style=runs:gone.safetensors")
    expect(tab.locator("#problem")).to_contain_text("found none")
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("asked.length") <= 3


def test_what_another_program_asked_for_is_cancelled(tab: Page, pages: Pages, render_server: ServerThread) -> None:
    with Client.connect(render_server.folder, start=False, name="a long render") as other:
        asked = other.submit(np.zeros((8, 8, 3), np.uint8), style="delay-60000ms")
        tab.goto(f"{pages.settings.base}/server")
        tab.locator("#clients tr", has_text="a long render").get_by_role("button", name="Cancel").click()
        expect(tab.locator("#question")).to_contain_text("Cancel what a long render asked for?")
        tab.get_by_role("button", name="Cancel it").click()
        expect(tab.locator("#said")).to_have_text("1 of a long render cancelled.")
        with pytest.raises(RequestCancelled):
            asked.result(WAIT_S)


def test_two_tabs_share_one_session(browser: Browser, pages: Pages) -> None:
    context = admitted(browser, pages)
    tabs = [context.new_page(), context.new_page()]
    for tab in tabs:
        look_at(tab, pages)
    for tab in tabs:
        until(lambda tab=tab: is_inverted(tab))  # type: ignore[misc]
    tabs[0].goto(f"{pages.settings.base}/server")
    expect(tabs[0].locator("#clients tbody tr")).to_have_count(1)
    expect(tabs[0].locator("#clients tbody tr")).to_contain_text("impasto web")
    context.close()


def test_a_page_comes_back_by_itself(browser: Browser, pages: Pages, render_server: ServerThread) -> None:
    connect = lambda: Client.connect(render_server.folder, start=False, name="impasto web")  # noqa: E731
    with running_pages(replace(pages.settings, port=0, connect=connect)) as first:
        context = admitted(browser, first)
        tab = context.new_page()
        look_at(tab, first)
    expect(tab.locator("#banner")).to_contain_text("does not answer. Start it again in a terminal: impasto web")
    with running_pages(replace(first.settings, connect=connect)) as second:
        expect(tab.locator("#banner")).to_be_hidden()
        tab.reload()
        expect(tab.locator("#plate")).to_have_text("lantern.####.exr")
        until(lambda: is_inverted(tab))
        assert second.settings.port == first.settings.port
        context.close()


def test_a_stranger_reads_a_sentence(browser: Browser, pages: Pages) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{pages.settings.base}/look")
    expect(page.locator("main")).to_contain_text("expected the address that `impasto web` printed, with its token")
    context.close()


def test_an_old_browser_reads_a_sentence(browser: Browser, pages: Pages) -> None:
    context = admitted(browser, pages)
    page = context.new_page()
    page.add_init_script("delete window.createImageBitmap")
    page.goto(f"{pages.settings.base}/server")
    expect(page.locator("#old")).to_contain_text("This browser is too old for these pages: use Firefox")
    context.close()


def test_runs_are_compared_under_one_time_slider(tab: Page, pages: Pages) -> None:
    folder = pages.settings.runs["runs"].folder
    for name, steps in (("first", [0, 40, 90]), ("second", [10, 95])):
        log_sheets(run_in(folder, name), steps)
    tab.goto(f"{pages.settings.base}/runs?run=runs:first.run")
    expect(tab.locator("#title")).to_have_text("first")
    expect(tab.locator("#when")).to_have_text("step 90")
    expect(tab.locator("#notes")).to_contain_text("training diverged at step 10")
    expect(tab.locator(".chart")).to_have_count(2)
    until(lambda: abs(pixel(tab, 1)[0] - 90) < 12)
    assert abs(pixel(tab, 0)[0] - 0) < 12
    tab.locator("#viewer").click(position={"x": 4, "y": 4})
    tab.keyboard.press("ArrowLeft")
    expect(tab.locator("#when")).to_have_text("step 40")
    until(lambda: abs(pixel(tab, 1)[0] - 40) < 12)
    tab.locator("#against").select_option("runs:second.run")
    expect(tab.locator(".name.left")).to_have_text("second, step 10")
    until(lambda: abs(pixel(tab, 0)[0] - 10) < 12)


def test_training_is_started_watched_and_stopped(
    tab: Page, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages.app.state.training, "_command", trainer("long"))
    for name in ("hero.0012.png", "hero.png"):
        (tmp_path / name).write_bytes(png())
    tab.goto(f"{pages.settings.base}/runs")
    expect(tab.locator("#new")).to_be_visible()
    tab.keyboard.press("n")
    tab.locator("#name").fill("browser")
    tab.locator("#shot").click()
    tab.keyboard.press("Enter")  # too early, and without harm
    tab.locator("#picker .entry", has_text="media").click()
    tab.locator("#picker .entry", has_text="harbour.mp4").click()
    expect(tab.locator("#shotname")).to_have_text("media:harbour.mp4")
    tab.locator("#keyfile").set_input_files(tmp_path / "hero.png")
    expect(tab.locator("#trainproblem")).to_contain_text("rename it, for frame 12, to hero.0012.png")
    tab.locator("#keyfile").set_input_files(tmp_path / "hero.0012.png")
    expect(tab.locator("#keys .chip")).to_have_text("hero.0012.png×")
    tab.get_by_role("button", name="Start").click()
    expect(tab.locator("#list .entry", has_text="browser")).to_contain_text("running, 25 %")
    tab.goto(f"{pages.settings.base}/server")
    expect(tab.locator("#trainings")).to_contain_text("runs:browser.run")
    tab.get_by_role("button", name="Stop").click()
    expect(tab.locator("#trainings")).to_contain_text("stopped")


def test_the_server_page_tells_devices_clients_and_errors(tab: Page, pages: Pages) -> None:
    plate = pages.ask("/api/plate", sent={"path": "media:lantern.####.exr", "frame": 1001}).json["id"]
    assert pages.ask("/api/frame", sent={"picture": plate, "style": "fail", "viewer": "x"}).status == 422
    tab.goto(f"{pages.settings.base}/server")
    expect(tab.locator("#devices tbody")).to_contain_text("cpu")
    expect(tab.locator("#errors tbody")).to_contain_text("expected a style that paints, got 'fail'")
    tab.locator("#cancel").click()
    expect(tab.locator("#question")).to_contain_text("Cancel what runs for every program")
    tab.keyboard.press("Escape")
    assert pages.ask("/api/health").json["health"] == "ok"
