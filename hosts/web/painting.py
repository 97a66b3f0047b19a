"""Frames painted by the render server for the pages: few under way at a time, and for each viewer the newest alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any, Final

from impasto.core.errors import RequestCancelled, ServerError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.preset import Preset
from impasto.hosts.web.pictures import Picture8
from impasto.hosts.web.shared_client import SharedClient
from impasto.server.client import Client, FrameFuture
from impasto.server.protocol.messages import Done

UNDER_WAY: Final = 2
"""They keep the server busy; a session may have three, and the third is left to the page Live."""
PAINT_S: Final = 300.0
"""A picture that takes longer is given up; a large one on a slow processor takes a minute."""


@frozen_dataclass
class PaintedFrame:
    """Pixels of its own, and what the server says of them."""

    pixels: Picture8
    done: Done


class FrameQueue:
    """The frames of all tabs, in the order in which they were asked for. Belongs to one event loop.

    They wait here and not in the server, because a session has credit for three, and a thread that waits for credit is
    lost to others.
    """

    def __init__(self, client: SharedClient) -> None:
        self._client = client
        self._under_way = 0
        self._waiting: OrderedDict[str, asyncio.Future[None]] = OrderedDict()
        self._sent: dict[FrameFuture, str] = {}
        """Frames that the server has, and their viewers."""

    async def paint(self, pixels: Picture8, look: Preset, style: str, viewer: str) -> PaintedFrame:
        """Have a plate painted. A newer call of the same viewer takes the place of one that still waits.

        Raises RequestCancelled for the one whose place was taken, and whatever the server raises.
        """
        if self._under_way < UNDER_WAY:
            self._under_way += 1
        else:
            await self._turn(viewer)
        try:
            future = await self._client.ask(lambda server: _submitted(server, pixels, look, style))
            self._sent[future] = viewer
            try:
                return await asyncio.wait_for(asyncio.wrap_future(_copied(future)), PAINT_S)
            except TimeoutError:
                future.cancel()
                raise ServerError(
                    f"expected the picture within {PAINT_S:g} s, it was not painted; choose a smaller size or a draft "
                    "style"
                ) from None
            finally:
                del self._sent[future]
        finally:
            self._pass_on()

    def cancel(self, viewer: str = "") -> int:
        """Take back the frames of a viewer, or all of them; how many there were. They end with RequestCancelled."""
        waiting = [name for name in self._waiting if viewer in ("", name)]
        sent = [future for future, name in self._sent.items() if viewer in ("", name)]
        for name in waiting:
            self._waiting.pop(name).set_exception(RequestCancelled("it was cancelled"))
        for future in sent:
            future.cancel()
        return len(waiting) + len(sent)

    @property
    def counts(self) -> tuple[int, int]:
        """Frames under way, and frames that wait."""
        return self._under_way, len(self._waiting)

    async def _turn(self, viewer: str) -> None:
        """Wait until a place is free, which then is the caller's."""
        older = self._waiting.get(viewer)
        turn = asyncio.get_running_loop().create_future()
        self._waiting[viewer] = turn  # in the place of the older one, which waited first
        if older is not None:
            older.set_exception(RequestCancelled("a newer request of the same viewer took its place"))
        await turn

    def _pass_on(self) -> None:
        while self._waiting:
            _, turn = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._under_way -= 1


def _submitted(client: Client, pixels: Picture8, look: Preset, style: str) -> FrameFuture:
    return client.submit(
        pixels,
        style=style,
        params=look.params or None,
        before=look.before or None,
        after=look.after or None,
        timeout_s=PAINT_S,
    )


def _copied(future: FrameFuture) -> Future[PaintedFrame]:
    """The frame in memory of its own, as soon as it is painted."""
    copied: Future[PaintedFrame] = Future()
    copied.set_running_or_notify_cancel()  # from now on nobody can cancel it under the callback

    def take(done: Future[Any]) -> None:
        try:
            with done.result() as result:
                copied.set_result(PaintedFrame(result.copy(), result.done))
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised where the frame is awaited
            copied.set_exception(error)

    future.add_done_callback(take)
    return copied
