"""The WebSocket of the Live page: pictures and figures to the page; looks, and the pictures of its camera, back.

Texts are JSON. To the page: {"kind": "session" | "look" | "figures" | "waiting" | "ended" | "problem", …}, and
{"kind": "took"} for each picture of its camera. From the page: {"style": NAME}, {"params": {NAME: value or null}},
{"quality": "auto" | "full" | "draft"}, {"plates": bool}, {"hidden": bool}, {"shown": number} and
{"begin": SOURCE, "with": STYLE}. Binary messages are pictures: to the page as `PagePicture.message`, from it a JPEG.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from impasto.core.errors import ImpastoError, UsageError
from impasto.core.params import PARAMETERS
from impasto.hosts.web.live_room import LiveRoom
from impasto.hosts.web.page_outlet import Viewer

if TYPE_CHECKING:
    from impasto.hosts.live.look import LookSetting
    from impasto.hosts.live.session import LiveSession

POLL_S: Final = 0.1
FIGURES_EVERY: Final = 5
"""Looks between two tellings of figures."""
TEXT_LETTERS: Final = 4096
PICTURE_BYTES: Final = 4 << 20


def live_routes(room: LiveRoom) -> list[BaseRoute]:
    """The route of the socket, for `make_app`."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await PageConnection(websocket, room).run()

    return [WebSocketRoute("/live/socket", endpoint)]


class PageConnection:
    """One page, from its handshake until it is gone."""

    def __init__(self, websocket: WebSocket, room: LiveRoom) -> None:
        self._websocket, self._room = websocket, room
        self._viewer = Viewer(asyncio.get_running_loop())
        self._sending = asyncio.Lock()
        self._session: LiveSession | None = None
        self._revision = -1

    async def run(self) -> None:
        """Serve the page."""
        self._room.outlet.add(self._viewer)
        tasks = [asyncio.create_task(each()) for each in (self._send_pictures, self._tell)]
        try:
            await self._listen()
        except WebSocketDisconnect:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._room.leave(self._viewer)

    async def _send_pictures(self) -> None:
        while True:
            message = await self._viewer.next_message()
            async with self._sending:
                await self._websocket.send_bytes(message)

    async def _tell(self) -> None:
        """The session, where it is another; the look, where it has changed; figures now and then."""
        begun, looks = False, 0
        while True:
            session = self._room.session
            if session is not self._session or not begun:
                begun, self._session = True, session
                await self._say(self._facts(session))
            elif session is not None and session.setting.revision != self._revision:
                await self._say({"kind": "look", **self._look(session.setting)})
            if session is not None and looks % FIGURES_EVERY == 0:
                await self._say({"kind": "figures", **self._figures(session)})
            looks += 1
            await asyncio.sleep(POLL_S)

    async def _listen(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if message.get("bytes") is not None:
                    await self._take_picture(message["bytes"])
                else:
                    await self._obey(_asked(message.get("text") or ""))
            except ImpastoError as error:
                await self._say({"kind": "problem", "message": str(error)})

    async def _take_picture(self, data: bytes) -> None:
        """A picture of the page's camera, which is told when it may send the next."""
        from impasto.hosts.live.display import fitted
        from impasto.hosts.live.jpeg import from_jpeg

        session = self._session
        if session is None or session.plan.source.kind != "browser":
            raise UsageError("expected no pictures of this page's camera, another source is painted; reload the page")
        if len(data) > PICTURE_BYTES:
            raise UsageError(f"expected at most {PICTURE_BYTES} bytes a picture, got {len(data)}; reload the page")
        taken_s = session.clock()
        pixels = await asyncio.to_thread(lambda: fitted(from_jpeg(data), session.plan.largest))
        session.intake.put(pixels, taken_s)
        await self._say({"kind": "took"})

    async def _obey(self, asked: Mapping[str, Any]) -> None:
        for name, value in asked.items():
            if name in _ORDERS:
                await _ORDERS[name](self, value, asked)

    async def _say(self, facts: Mapping[str, object]) -> None:
        async with self._sending:
            await self._websocket.send_text(json.dumps(facts))

    def _facts(self, session: LiveSession | None) -> dict[str, object]:
        if session is None:
            return {"kind": "waiting", "mayBegin": self._room.may_begin}
        styles = [
            {"name": each.name, "title": each.title, "description": each.description, "preview": each.has_preview}
            for each in session.setting.styles.values()
        ]
        parameters = [
            {"name": each.name, "minimum": each.minimum, "maximum": each.maximum, "default": each.default,
             "help": each.help}
            for each in PARAMETERS
        ]  # fmt: skip
        facts = {"kind": "session", "source": session.plan.source.text, "camera": session.plan.source.kind == "browser"}
        return {**facts, "styles": styles, "parameters": parameters, **self._look(session.setting)}

    def _look(self, setting: LookSetting) -> dict[str, object]:
        self._revision = setting.revision
        look = setting.look
        defaults = dict(setting.styles[look.style].defaults)
        return {"style": look.style, "params": dict(look.params), "defaults": defaults, "quality": setting.quality}

    def _figures(self, session: LiveSession) -> dict[str, object]:
        now, ages = session.clock(), self._viewer.ages
        page = {
            "page_p50_ms": round(1e3 * ages.share(now, 0.5), 1),
            "page_p95_ms": round(1e3 * ages.share(now, 0.95), 1),
            "page_fps": round(ages.rate(now), 1),
        }
        refused = [f"{name}: {error}" for name, error in session.refused_now().items()]
        return {**asdict(session.figures()), **page, "refused": refused, "ended": session.ended}

    def _setting(self) -> LookSetting:
        if self._session is None:
            raise UsageError("expected a session that runs, there is none; begin one first")
        return self._session.setting

    async def _choose_style(self, value: Any, asked: Mapping[str, Any]) -> None:
        self._setting().choose_style(str(value))

    async def _set_params(self, value: Any, asked: Mapping[str, Any]) -> None:
        if not isinstance(value, dict):
            raise UsageError("expected parameters by their names; reload the page")
        self._setting().set_params(value)

    async def _set_quality(self, value: Any, asked: Mapping[str, Any]) -> None:
        self._setting().set_quality(_one_of(value, "auto", "full", "draft"))

    async def _want_plates(self, value: Any, asked: Mapping[str, Any]) -> None:
        self._viewer.wants_plate = bool(value)

    async def _hide(self, value: Any, asked: Mapping[str, Any]) -> None:
        self._viewer.hidden = bool(value)

    async def _shown(self, value: Any, asked: Mapping[str, Any]) -> None:
        if isinstance(value, int):
            self._viewer.shown(value)

    async def _begin(self, value: Any, asked: Mapping[str, Any]) -> None:
        await self._room.begin(str(value), str(asked.get("with") or "wheatfield"))


_Order = Callable[[PageConnection, Any, Mapping[str, Any]], Awaitable[None]]
_ORDERS: Final[Mapping[str, _Order]] = {
    "style": PageConnection._choose_style,
    "params": PageConnection._set_params,
    "quality": PageConnection._set_quality,
    "plates": PageConnection._want_plates,
    "hidden": PageConnection._hide,
    "shown": PageConnection._shown,
    "begin": PageConnection._begin,
}


def _asked(text: str) -> Mapping[str, Any]:
    asked: object = None
    if len(text) <= TEXT_LETTERS:
        with suppress(ValueError):
            asked = json.loads(text)
    if not isinstance(asked, dict):
        raise UsageError("expected a message of the live page, got another; reload the page")
    return asked


def _one_of(value: Any, *known: Any) -> Any:
    if value not in known:
        raise UsageError(f"expected one of {', '.join(known)}, got {value!r}")
    return value
