"""Who may talk to the pages: every request passes `refusal` before its body is read.

A page that the user's browser has open elsewhere can send requests to this machine. It is kept out by the names it
must use (Host, against DNS rebinding), by where the browser says that the request comes from (Origin, Sec-Fetch-Site),
and by a cookie that only the address with the token sets. There is no CORS header at all, so nothing of an answer can
be read by another origin.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.web.settings import WebSettings

BODY_BYTES: Final = 64 << 10
PICTURE_BYTES: Final = 64 << 20
BODIES: Final[Mapping[str, int]] = {"/api/pictures": PICTURE_BYTES, "/api/keys": PICTURE_BYTES}
"""Path -> most bytes of a body, where it is not `BODY_BYTES`."""
SAFE: Final = ("GET", "HEAD")
OPEN: Final = "/static/"
"""Below it lie the files of the pages themselves, which say nothing about anybody."""
TOKEN: Final = "token"

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
"""On every answer."""


@frozen_dataclass
class WebRequest:
    """What a refusal depends on."""

    kind: Literal["http", "websocket"]
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    token: str = ""
    """Of the address, where one is in it."""


@frozen_dataclass
class Refusal:
    """Why a request is not taken."""

    status: int
    code: str
    message: str


def refusal(request: WebRequest, settings: WebSettings, tickets: Collection[str] = ()) -> Refusal | None:
    """Why the request is refused; None where it may go on. `tickets` are taken in the place of the token."""
    return (
        _foreign_host(request, settings)
        or _foreign_origin(request, settings)
        or _stranger(request, settings, tickets)
        or _too_large(request)
    )


def cookie_value(settings: WebSettings) -> str:
    """What the cookie holds: made from the token, which cannot be found from it."""
    return hmac.new(settings.token.encode(), settings.cookie.encode(), sha256).hexdigest()


class Guard:
    """Passes to the pages what `refusal` takes, and puts `HEADERS` on every answer.

    The address with the token is answered with the cookie and the same address without the token. A ticket works once:
    it goes to the browser that `--open` starts, whose command line other users of the machine may read.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings, tickets: set[str]) -> None:
        self._app, self._settings, self._tickets = app, settings, tickets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, WebSocket or lifespan."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = _request_of(scope)
        refused = refusal(request, self._settings, self._tickets)
        if scope["type"] == "websocket":
            await (self._app(scope, receive, send) if refused is None else _close(refused, receive, send))
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if refused is not None:
            await _answer(refused, request, guarded_send)
        elif request.token and request.method in SAFE:
            self._tickets.discard(request.token)
            await self._admit(scope, guarded_send)
        else:
            await self._app(scope, receive, guarded_send)

    async def _admit(self, scope: Scope, send: Send) -> None:
        settings = self._settings
        left = [(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != TOKEN]
        where = scope["path"] + (f"?{urlencode(left)}" if left else "")
        secure = "; Secure" if settings.tls is not None else ""
        cookie = f"{settings.cookie}={cookie_value(settings)}; HttpOnly; SameSite=Strict; Path=/{secure}"
        headers = [(b"location", where.encode("latin-1", "replace")), (b"set-cookie", cookie.encode())]
        await _respond(send, 303, headers, b"")


def _foreign_host(request: WebRequest, settings: WebSettings) -> Refusal | None:
    host = request.headers.get("host", "").lower()
    if host in settings.hosts:
        return None
    return Refusal(421, "host", f"expected this page under {settings.base}, got another name; open that address")


def _foreign_origin(request: WebRequest, settings: WebSettings) -> Refusal | None:
    """Nothing may come from another page; a WebSocket and whatever changes something must say where it comes from."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    must_say = request.kind == "websocket" or request.method not in SAFE
    if (origin is None and must_say) or (origin is not None and origin.lower() not in settings.origins):
        return Refusal(403, "origin", "expected a request of this page itself, got one of another; reload the page")
    if site not in ("same-origin", "none"):
        return Refusal(403, "site", "another page led here; copy the address and open it in a tab of its own")
    return None


def _stranger(request: WebRequest, settings: WebSettings, tickets: Collection[str]) -> Refusal | None:
    if request.token and request.method in SAFE and request.kind == "http":
        if any(hmac.compare_digest(request.token.encode(), each.encode()) for each in (settings.token, *tickets)):
            return None
    else:
        known = hmac.compare_digest(_cookie(request, settings.cookie).encode(), cookie_value(settings).encode())
        if known or (request.path.startswith(OPEN) and request.method in SAFE):
            return None
    return Refusal(401, "token", "expected the address that `impasto web` printed, with its token; open that one once, "
                   "this browser then stays admitted")  # fmt: skip


def _too_large(request: WebRequest) -> Refusal | None:
    """A body must state its length first, so that nothing of one that is too large is read."""
    if request.kind == "websocket":
        return None
    stated = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not stated.isdecimal():
        return Refusal(411, "length", "expected a body that states its length; send Content-Length")
    most = BODIES.get(request.path, BODY_BYTES)
    if len(stated) > 18 or int(stated) > most:
        return Refusal(413, "too_large", f"expected at most {megabytes(most)}, got {megabytes(int(stated[:18]))}; "
                       "send a smaller picture, or name its folder with --plates")  # fmt: skip
    return None


def megabytes(size: int) -> str:
    """A number of bytes for a person."""
    return f"{size / (1 << 20):.3g} MiB"


def _cookie(request: WebRequest, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _request_of(scope: Scope) -> WebRequest:
    headers = Headers(scope=scope)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    return WebRequest(scope["type"], scope.get("method", "GET"), scope["path"], dict(headers), query.get(TOKEN, ""))


async def _answer(refused: Refusal, request: WebRequest, send: Send) -> None:
    """A page for a person who opened an address, JSON for a program."""
    if "text/html" in request.headers.get("accept", ""):
        kind, body = "text/html; charset=utf-8", _PAGE.format(message=refused.message)
    else:
        kind, body = "application/json", json.dumps({"code": refused.code, "message": refused.message})
    await _respond(send, refused.status, [(b"content-type", kind.encode()), (b"connection", b"close")], body.encode())


async def _respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _close(refused: Refusal, receive: Receive, send: Send) -> None:
    """Before it is accepted: the browser sees a handshake that failed with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": refused.message[:120]})


_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>impasto</title><link rel="stylesheet" href="/static/style.css">
<main class="alone"><h1>impasto</h1><p>{message}.</p></main>
"""
