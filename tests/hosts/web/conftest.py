"""The pages, served in a thread of the test, and a real render server with fake workers behind them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute

from impasto.hosts.web.app import make_app
from impasto.hosts.web.guard import cookie_value
from impasto.hosts.web.serving import bound, serve
from impasto.hosts.web.settings import WebSettings
from impasto.server.client import Client
from impasto.server.settings import Root
from tests.hosts.terminal.conftest import runtime
from tests.server.running_server import ServerThread, served

__all__ = ["runtime"]
TOKEN = "t" * 43
WAIT_S = 60.0
FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""As root, in a container, Chromium has no sandbox of its own."""
CHROMIUM = os.environ.get("IMPASTO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def no_server() -> Client:
    """For pages that must not need a render server."""
    raise AssertionError("the page asked for a render server")


def settings_in(folder: Path, **more: Any) -> WebSettings:
    """Settings with roots below a folder and any free port."""
    asked = WebSettings(
        token=TOKEN, connect=no_server, is_running=lambda: True, presets=folder / "presets", port=0,
        plates={}, runs={},
    )  # fmt: skip
    return replace(asked, **more)


@dataclass
class Answer:
    """What a request was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Pages:
    """Pages that are being served."""

    settings: WebSettings
    app: Any

    def ask(
        self, path: str, *, method: str = "", body: bytes | None = None, sent: Any = None, headers: Any = None
    ) -> Answer:
        """A request as the page itself makes it; `sent` goes as JSON."""
        if sent is not None:
            body = json.dumps(sent).encode()
        usual = {
            "Origin": self.settings.base,
            "Sec-Fetch-Site": "same-origin",
            "Cookie": f"{self.settings.cookie}={cookie_value(self.settings)}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=WAIT_S)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, {**usual, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def running_pages(settings: WebSettings, extra_routes: Sequence[BaseRoute] = ()) -> Iterator[Pages]:
    """Serve the pages for the length of a block."""
    listener, settings = bound(settings)
    app = make_app(settings, extra_routes)
    ready = threading.Event()
    thread = threading.Thread(target=serve, args=(app, listener), kwargs={"on_ready": ready.set}, daemon=True)
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield Pages(settings, app)
    finally:
        app.state.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the pages did not end"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium with a camera that shows a test picture; one for the tests of a file.

    It ends with them: kept for the session, its driver was seen to hang at the end of the whole suite.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def render_server() -> Iterator[ServerThread]:
    """A real render server whose workers are fake: 'invert' inverts, 'fail' fails, 'slow-400ms' takes its time."""
    with served(("echo", "invert", "fail", "slow-400ms", "slow-100ms", "delay-60000ms")) as server:
        yield server


@pytest.fixture(scope="session")
def pages(render_server: ServerThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Pages of that server, with the media of the tests as plates and an empty folder for runs."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "runs").mkdir()
    media = Path(__file__).resolve().parents[2] / "media"
    settings = settings_in(
        folder,
        connect=lambda: Client.connect(render_server.folder, start=False, timeout_s=WAIT_S, name="impasto web"),
        plates={"media": Root(media)},
        runs={"runs": Root(folder / "runs", writable=True)},
    )
    with running_pages(settings) as served_pages:
        yield served_pages
