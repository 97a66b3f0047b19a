"""Who may talk to the pages: the table of what is refused, and that nothing passes beside it."""

from __future__ import annotations

import http.client
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from impasto.core.errors import NotPermitted, UsageError
from impasto.hosts.web.app import STATIC
from impasto.hosts.web.guard import BODY_BYTES, HEADERS, PICTURE_BYTES, WebRequest, cookie_value, refusal
from impasto.hosts.web.serving import bound, token_in
from impasto.hosts.web.settings import WebSettings
from tests.hosts.web.conftest import TOKEN, Pages, settings_in

SETTINGS = settings_in(Path("/nowhere"), port=7790)
COOKIE = f"{SETTINGS.cookie}={cookie_value(SETTINGS)}"
HERE = "http://127.0.0.1:7790"
GET: dict[str, Any] = {"host": "127.0.0.1:7790", "cookie": COOKIE}
POST = {**GET, "origin": HERE, "sec-fetch-site": "same-origin", "content-length": "10"}


def refused(
    headers: dict[str, Any], method: str = "GET", path: str = "/look", *, token: str = "", kind: Any = "http",
    settings: WebSettings = SETTINGS, tickets: tuple[str, ...] = (),
) -> int | None:  # fmt: skip
    """The status of the refusal; a header that is None is left out."""
    given = {name: value for name, value in headers.items() if value is not None}
    found = refusal(WebRequest(kind, method, path, given, token), settings, tickets)
    return None if found is None else found.status


@pytest.mark.parametrize(
    ("status", "headers", "asked"),
    [
        (None, GET, {}),
        (None, {**GET, "host": "localhost:7790"}, {}),
        (None, {**GET, "host": "[::1]:7790"}, {}),
        (None, {**GET, "sec-fetch-site": "same-origin"}, {}),
        (None, {**GET, "sec-fetch-site": "none"}, {}),
        (None, POST, {"method": "POST"}),
        (None, {**POST, "origin": "http://localhost:7790", "host": "localhost:7790"}, {"method": "POST"}),
        (None, {**GET, "origin": HERE}, {"kind": "websocket"}),
        # Rebinding: the name of a foreign page, whatever else is right.
        (421, {**GET, "host": "evil.example"}, {}),
        (421, {**GET, "host": "evil.example:7790"}, {}),
        (421, {**GET, "host": "127.0.0.1"}, {}),
        (421, {**GET, "host": "127.0.0.1:7791"}, {}),
        (421, {**GET, "host": None}, {}),
        (421, {**GET, "host": "evil.example:7790"}, {"token": TOKEN}),
        (421, {**GET, "host": "evil.example:7790"}, {"path": "/static/style.css"}),
        (421, {**GET, "host": "evil.example:7790", "origin": HERE}, {"kind": "websocket"}),
        # Other origins, other ports of this machine among them.
        (403, {**POST, "origin": "http://evil.example"}, {"method": "POST"}),
        (403, {**POST, "origin": "http://127.0.0.1:8888"}, {"method": "POST"}),
        (403, {**POST, "origin": "https://127.0.0.1:7790"}, {"method": "POST"}),
        (403, {**POST, "origin": "http://127.0.0.1:7790.evil.example"}, {"method": "POST"}),
        (403, {**POST, "origin": "null"}, {"method": "POST"}),
        (403, {**POST, "origin": None}, {"method": "POST"}),
        (403, {**POST, "origin": None}, {"method": "DELETE"}),
        (403, {**POST, "origin": None}, {"method": "OPTIONS"}),
        (403, {**GET, "origin": "http://evil.example"}, {}),
        (403, {**GET, "origin": "http://evil.example"}, {"kind": "websocket"}),
        (403, {**GET, "origin": "null"}, {"kind": "websocket"}),
        (403, {**GET, "origin": None}, {"kind": "websocket"}),
        (403, {**GET, "sec-fetch-site": "same-site"}, {}),
        (403, {**GET, "sec-fetch-site": "cross-site"}, {}),
        (403, {**GET, "sec-fetch-site": "cross-site"}, {"path": "/static/api.js"}),
        # Strangers.
        (401, {**GET, "cookie": None}, {}),
        (401, {**GET, "cookie": f"{SETTINGS.cookie}={TOKEN}"}, {}),
        (401, {**GET, "cookie": f"impasto-7791={cookie_value(SETTINGS)}"}, {}),
        (401, {**GET, "cookie": 'a="; =;;'}, {}),
        (401, {**GET, "cookie": None, "origin": HERE}, {"kind": "websocket"}),
        (401, {**GET, "cookie": None, "origin": HERE}, {"kind": "websocket", "token": TOKEN}),
        (401, {**POST, "cookie": None}, {"method": "POST", "token": TOKEN}),
        (401, {**GET, "cookie": None}, {"token": TOKEN[:-1]}),
        (401, {**GET, "cookie": None}, {"token": "é" * 43}),
        (None, {**GET, "cookie": None}, {"token": TOKEN}),
        (None, {**GET, "cookie": None}, {"token": "ticket", "tickets": ("ticket",)}),
        (401, {**GET, "cookie": None}, {"token": "ticket"}),
        (None, {**GET, "cookie": None}, {"path": "/static/style.css"}),
        (401, {**POST, "cookie": None}, {"path": "/static/style.css", "method": "POST"}),
        # Bodies, before they are read.
        (413, {**POST, "content-length": str(BODY_BYTES + 1)}, {"method": "POST"}),
        (413, {**POST, "content-length": str(PICTURE_BYTES)}, {"method": "POST", "path": "/api/frame"}),
        (None, {**POST, "content-length": str(PICTURE_BYTES)}, {"method": "POST", "path": "/api/pictures"}),
        (413, {**POST, "content-length": str(100 << 20)}, {"method": "POST", "path": "/api/pictures"}),
        (413, {**POST, "content-length": "9" * 4000}, {"method": "POST", "path": "/api/pictures"}),
        (411, {**POST, "content-length": "-1"}, {"method": "POST"}),
        (411, {**POST, "content-length": "ten"}, {"method": "POST"}),
        (411, {**POST, "content-length": None, "transfer-encoding": "chunked"}, {"method": "POST"}),
        (411, {**GET, "transfer-encoding": "chunked"}, {}),
    ],
)  # fmt: skip
def test_what_may_not_talk_to_the_pages_is_refused(
    status: int | None, headers: dict[str, Any], asked: dict[str, Any]
) -> None:
    assert refused(headers, **asked) == status


def test_beyond_loopback_the_pages_have_one_name_and_https() -> None:
    far = replace(SETTINGS, host="render1.studio", tls=(Path("c"), Path("k")))
    good = {"host": "render1.studio:7790", "cookie": f"{far.cookie}={cookie_value(far)}"}
    assert refused(good, settings=far) is None
    assert refused({**good, "origin": "https://render1.studio:7790"}, kind="websocket", settings=far) is None
    assert refused({**good, "origin": "http://render1.studio:7790"}, kind="websocket", settings=far) == 403
    assert refused({**good, "host": "127.0.0.1:7790"}, settings=far) == 421


def test_the_address_with_the_token_admits_the_browser_and_forgets_it(pages: Pages) -> None:
    answer = pages.ask(f"/look?plate=a%3Ab&token={TOKEN}", headers={"Cookie": "", "Sec-Fetch-Site": "none"})
    assert (answer.status, answer.headers["location"]) == (303, "/look?plate=a%3Ab")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert pages.ask("/look", headers={"Cookie": cookie.partition(";")[0]}).status == 200


def test_a_ticket_works_once(pages: Pages) -> None:
    pages.app.state.tickets.add("once")
    stranger = {"Cookie": "", "Sec-Fetch-Site": "none"}
    assert [pages.ask("/look?token=once", headers=stranger).status for _ in range(2)] == [303, 401]


@pytest.mark.parametrize("path", ["/look", "/static/api.js", "/api/nothing", "/nowhere"])
def test_every_answer_bears_the_headers_that_keep_others_out(pages: Pages, path: str) -> None:
    for headers in ({}, {"Cookie": ""}, {"Host": "evil.example"}):
        answer = pages.ask(path, headers=headers)
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "unsafe-inline" not in HEADERS["content-security-policy"]


def test_the_pages_hold_no_script_or_style_that_the_policy_forbids(pages: Pages) -> None:
    for name in ("look", "live", "runs", "server"):
        page = pages.ask(f"/{name}").body.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", page), name


def test_the_files_of_all_pages_are_small_and_come_from_here_alone() -> None:
    files = list(STATIC.iterdir())
    assert sum(file.stat().st_size for file in files) <= 100_000
    for file in files:
        loaded = re.findall(r"""(?:src|href|from|url\()\s*=?\s*["'(]?(https?:)?//[^"')\s]+""", file.read_text("utf-8"))
        assert not loaded, file.name


def test_a_person_without_the_token_reads_a_sentence(pages: Pages) -> None:
    answer = pages.ask("/look", headers={"Cookie": "", "Accept": "text/html", "Sec-Fetch-Site": "none"})
    assert answer.status == 401
    assert "expected the address that `impasto web` printed" in answer.body.decode()


def test_a_body_that_is_too_large_is_refused_unread(pages: Pages) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", pages.settings.port, timeout=20)
    connection.putrequest("POST", "/api/pictures")
    connection.putheader("Cookie", f"{pages.settings.cookie}={cookie_value(pages.settings)}")
    connection.putheader("Origin", pages.settings.base)
    connection.putheader("Content-Length", str(100 << 20))
    connection.endheaders()
    answer = connection.getresponse()  # before a byte of the body was sent
    assert (answer.status, b"expected at most 64 MiB, got 100 MiB" in answer.read()) == (413, True)
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status"), [({"Cookie": ""}, 403), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403)]
)
def test_a_websocket_of_a_stranger_does_not_open(pages: Pages, headers: dict[str, str], status: int) -> None:
    usual = {"Cookie": f"{pages.settings.cookie}={cookie_value(pages.settings)}", "Origin": pages.settings.base}
    with (
        pytest.raises(InvalidStatus) as refusal_of_it,
        connect(f"ws://127.0.0.1:{pages.settings.port}/live", additional_headers={**usual, **headers}, proxy=None),
    ):
        pass
    assert refusal_of_it.value.response.status_code == status


def test_the_token_is_the_users_alone_and_stays(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    assert len(token) >= 43
    assert token_in(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "web.token").stat().st_mode) == 0o600
    (tmp_path / "web.token").chmod(0o644)
    with pytest.raises(NotPermitted, match="that you alone can read"):
        token_in(tmp_path)


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    listener, settings = bound(settings_in(tmp_path))
    with listener, pytest.raises(UsageError, match=f"expected port {settings.port} to be free, another program"):
        bound(settings)
