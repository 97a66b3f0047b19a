"""Pictures on their way to pages: the newest, two at a time, and never into memory that a header asks for."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from impasto.core.errors import UnreadableMedia
from impasto.hosts.live.jpeg import from_jpeg, to_jpeg
from impasto.hosts.live.pictures import ShownPicture, SourcePlate
from impasto.hosts.web.page_outlet import LOST_S, PageOutlet, PagePicture, Viewer
from tests.waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def picture(number: int, plate: bytes = b"plate") -> PagePicture:
    return PagePicture(number, 99.0, {"n": number}, b"painted", plate)


def head_of(message: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", message)
    head: dict[str, Any] = json.loads(message[4 : 4 + length])
    return head


def with_viewer(body: Callable[[Viewer, Clock], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = Clock()
        await body(Viewer(asyncio.get_running_loop(), clock), clock)

    with ThreadPoolExecutor(1) as elsewhere:  # this thread may have the loop of a browser
        elsewhere.submit(asyncio.run, run()).result()


async def next_number(viewer: Viewer) -> int | None:
    """The number of the next picture, None where none may go."""
    try:
        return int(head_of(await asyncio.wait_for(viewer.next_message(), 0.1))["n"])
    except TimeoutError:
        return None


def test_a_page_gets_two_and_then_the_newest_once_it_has_shown_one() -> None:
    async def body(viewer: Viewer, clock: Clock) -> None:
        for number in (1, 2):
            viewer.offer(picture(number))
            assert await next_number(viewer) == number
        for number in range(3, 9):
            viewer.offer(picture(number))
        assert await next_number(viewer) is None
        clock.now += 0.04
        viewer.shown(1)
        assert await next_number(viewer) == 8
        assert viewer.ages.share(clock.now, 1.0) == pytest.approx(1.04)

    with_viewer(body)


def test_a_page_that_says_nothing_is_sent_the_next_after_a_while() -> None:
    async def body(viewer: Viewer, clock: Clock) -> None:
        for number in (1, 2, 3):
            viewer.offer(picture(number))
            await next_number(viewer)
        clock.now += LOST_S + 0.1
        viewer.offer(picture(4))
        assert await next_number(viewer) == 4

    with_viewer(body)


def test_a_hidden_page_gets_nothing_and_plates_go_where_they_are_wanted() -> None:
    async def body(viewer: Viewer, clock: Clock) -> None:
        viewer.hidden = True
        viewer.offer(picture(1))
        assert await next_number(viewer) is None
        viewer.hidden = False
        viewer.offer(picture(2))
        message = await viewer.next_message()
        assert (head_of(message)["plate"], message.endswith(b"painted")) == (0, True)
        viewer.wants_plate = True
        viewer.offer(picture(3))
        message = await viewer.next_message()
        assert (head_of(message)["plate"], message.endswith(b"paintedplate")) == (5, True)

    with_viewer(body)


def test_a_picture_is_encoded_once_for_all_pages_and_not_at_all_for_none() -> None:
    outlet = PageOutlet()
    shown = ShownPicture(
        SourcePlate(1, np.zeros((36, 64, 3), np.uint8), 0.0), np.full((18, 32, 3), 200, np.uint8), "why"
    )
    loop = asyncio.new_event_loop()
    got: list[PagePicture] = []
    viewers = [Viewer(loop), Viewer(loop)]
    for viewer in viewers:
        viewer.offer = got.append  # type: ignore[method-assign]
    assert not outlet.wanted
    outlet.offer(shown)
    for viewer in viewers:
        outlet.add(viewer)
    until(lambda: outlet.offer(shown) or len(got) >= 2, pause_s=0.05)
    assert outlet.wanted
    assert got[0] is got[1]
    assert got[0].head == {"n": got[0].number, "width": 64, "height": 36, "mark": "why"}
    assert got[0].plate == b""
    assert abs(int(from_jpeg(got[0].painted)[9, 16, 0]) - 200) <= 2
    outlet.close()
    loop.close()


def test_a_jpeg_comes_back_as_it_went() -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 36, axis=0).repeat(3, axis=2)
    assert np.abs(from_jpeg(to_jpeg(ramp)).astype(int) - ramp).max() <= 6


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose header promises another size."""
    data = bytearray(to_jpeg(np.zeros((8, 8, 3), np.uint8)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"GIF89a" + bytes(100),
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(),
        jpeg_of(65535, 65535),
        jpeg_of(0, 8),
        to_jpeg(np.zeros((64, 64, 3), np.uint8))[:40],
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 50,
    ],
)
def test_what_is_no_picture_of_a_camera_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableMedia):
        from_jpeg(data)
