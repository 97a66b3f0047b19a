"""Pictures of a live session on their way to pages: encoded once for all, the newest for each.

A page says when it has shown a picture. No more than two are on their way to it, so that a slow page sees fewer
pictures and never older ones.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections import deque
from typing import Final

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.live.clock import Clock, live_clock
from impasto.hosts.live.figures import SpanOfValues
from impasto.hosts.live.mailbox import Mailbox
from impasto.hosts.live.pictures import ShownPicture

ON_THE_WAY: Final = 2
LOST_S: Final = 2.0
"""A page that has not said for so long that it shows a picture is sent the next all the same."""
TAKE_S: Final = 0.5
_LENGTH: Final = struct.Struct("<I")


@frozen_dataclass
class PagePicture:
    """A picture as it goes to pages."""

    number: int
    taken_s: float
    head: dict[str, object]
    painted: bytes
    plate: bytes
    """Empty where no page asks for plates."""

    def message(self, *, with_plate: bool) -> bytes:
        """The length of the head (u32, little endian), the head as JSON, the painting, and the plate, as JPEGs."""
        plate = self.plate if with_plate else b""
        head = json.dumps({**self.head, "painted": len(self.painted), "plate": len(plate)}).encode()
        return b"".join((_LENGTH.pack(len(head)), head, self.painted, plate))


class Viewer:
    """One page that looks. Its own coroutine takes pictures; any thread offers them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock = live_clock) -> None:
        self.wants_plate = False
        self.hidden = False
        self.ages = SpanOfValues()
        """Seconds from the source until the page said that it shows the picture."""
        self._loop, self._clock = loop, clock
        self._newest: PagePicture | None = None
        self._unshown: deque[tuple[int, float, float]] = deque()
        """Number, when it was taken, when it was sent."""
        self._changed = asyncio.Event()

    def offer(self, picture: PagePicture) -> None:
        """Show a picture in the place of one that still waits. Never waits."""
        self._newest = picture
        self._loop.call_soon_threadsafe(self._changed.set)

    async def next_message(self) -> bytes:
        """The newest picture, as soon as there is one and the page has room."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            now = self._clock()
            while self._unshown and now - self._unshown[0][2] > LOST_S:
                self._unshown.popleft()
            if self._newest is None or self.hidden or len(self._unshown) >= ON_THE_WAY:
                continue
            picture, self._newest = self._newest, None
            self._unshown.append((picture.number, picture.taken_s, now))
            return picture.message(with_plate=self.wants_plate)

    def shown(self, number: int) -> None:
        """The page shows this picture, and whatever was sent before it."""
        now = self._clock()
        while self._unshown and self._unshown[0][0] <= number:
            sent, taken_s, _ = self._unshown.popleft()
            if sent == number:
                self.ages.add(now, now - taken_s)
        self._changed.set()


class PageOutlet:
    """Where a session puts pictures for pages. A thread encodes the newest while anybody looks."""

    def __init__(self, clock: Clock = live_clock) -> None:
        self._clock = clock
        self._viewers: frozenset[Viewer] = frozenset()
        self._pictures: Mailbox[ShownPicture] = Mailbox()
        self._count = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="impasto-page-jpeg", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """Whether a page looks."""
        return any(not viewer.hidden for viewer in self._viewers)

    @property
    def viewers(self) -> int:
        """Pages that are open."""
        return len(self._viewers)

    def offer(self, shown: ShownPicture) -> None:
        """Show a picture in the place of one that still waits. Never waits."""
        self._pictures.put(shown)

    def add(self, viewer: Viewer) -> None:
        """A page begins to look."""
        self._viewers |= {viewer}

    def remove(self, viewer: Viewer) -> None:
        """A page is gone."""
        self._viewers -= {viewer}

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._pictures.close()
        self._thread.join(TAKE_S)

    def _run(self) -> None:
        from impasto.hosts.live.jpeg import to_jpeg

        while not self._closed:
            shown = self._pictures.take(TAKE_S)
            viewers = [viewer for viewer in self._viewers if not viewer.hidden]
            if shown is None or not viewers:
                continue
            self._count += 1
            width, height = shown.plate.size
            plate = to_jpeg(shown.plate.pixels) if any(viewer.wants_plate for viewer in viewers) else b""
            head: dict[str, object] = {"n": self._count, "width": width, "height": height, "mark": shown.mark}
            picture = PagePicture(self._count, shown.plate.taken_s, head, to_jpeg(shown.pixels), plate)
            for viewer in viewers:
                viewer.offer(picture)
