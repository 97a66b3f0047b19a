"""A frame painted by the render server for a page: submitted in a thread, copied out of shared memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any, Final

from impasto.core.errors import ServerError
from impasto.core.preset import Preset
from impasto.core.record import record
from impasto.hosts.web.pictures import Picture8
from impasto.hosts.web.shared_client import SharedClient
from impasto.server.client import Client, FrameFuture
from impasto.server.protocol.messages import Done

PAINT_S: Final = 300.0
"""A picture that takes longer is given up; a large one on a slow processor takes a minute."""


@record
class PaintedFrame:
    """Pixels of its own, and what the server says of them."""

    pixels: Picture8
    done: Done


async def paint_frame(client: SharedClient, pixels: Picture8, look: Preset, style: str, viewer: str) -> PaintedFrame:
    """Have a plate painted. A newer call of the same viewer takes the place of one that still waits.

    Raises RequestCancelled for the one whose place was taken, and whatever the server raises.
    """
    future = await client.ask(lambda server: _submitted(server, pixels, look, style, viewer))
    try:
        return await asyncio.wait_for(asyncio.wrap_future(_copied(future)), PAINT_S)
    except TimeoutError:
        future.cancel()
        raise ServerError(
            f"expected the picture within {PAINT_S:g} s, it was not painted; choose a smaller size or a draft style"
        ) from None


def _submitted(client: Client, pixels: Picture8, look: Preset, style: str, viewer: str) -> FrameFuture:
    return client.submit(
        pixels,
        style=style,
        params=look.params or None,
        before=look.before or None,
        after=look.after or None,
        viewer=viewer,
    )


def _copied(future: FrameFuture) -> Future[PaintedFrame]:
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
