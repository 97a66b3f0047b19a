"""The live session that the pages show: given by `impasto live`, or begun by a page of `impasto web`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from impasto.hosts.web.page_outlet import PageOutlet, Viewer

if TYPE_CHECKING:
    from impasto.hosts.live.session import LiveSession
    from impasto.server.client import Client

LINGER_S: Final = 10.0
"""So long after its last page has gone, a session that a page began is ended."""


class LiveRoom:
    """One session at a time, and the pages that look at it."""

    def __init__(self, connect: Callable[[], Client] | None = None) -> None:
        """With `connect`, which makes a session with the server, pages may begin a live session of their own."""
        self.outlet = PageOutlet()
        self.session: LiveSession | None = None
        self.may_begin = connect is not None
        self._connect = connect
        self._own = ExitStack()
        """Of a session that a page began."""
        self._beginning = threading.Lock()

    def show(self, session: LiveSession | None) -> None:
        """Show a session that somebody else ends; None: there is none any more."""
        self.session = session

    async def begin(self, source: str, style: str) -> None:
        """Begin to paint a source with a style, in the place of what a page began before.

        Raises UsageError for a source that a page may not ask for, and what `LiveSession` raises.
        """
        await asyncio.to_thread(self._begin, source, style)

    async def leave(self, viewer: Viewer) -> None:
        """A page is gone; a session that a page began ends a while after the last."""
        self.outlet.remove(viewer)
        if self.may_begin and not self.outlet.viewers:
            await asyncio.sleep(LINGER_S)
            if not self.outlet.viewers:
                await asyncio.to_thread(self._end_own)

    def close(self) -> None:
        """End a session that a page began, and send no more pictures."""
        self._end_own()
        self.outlet.close()

    def _end_own(self) -> None:
        with self._beginning:
            if self.may_begin:
                self.session = None
            self._own.close()

    def _begin(self, source: str, style: str) -> None:
        from impasto.core.errors import UsageError
        from impasto.hosts.live.session import LiveSession, SessionPlan
        from impasto.hosts.live.sources import parse_source

        address = parse_source(source)
        if self._connect is None or address.kind not in ("camera", "browser"):
            raise UsageError(f"expected camera:0 or browser as a source for a page, got '{source}'; use `impasto live`")
        with self._beginning:
            self.session = None
            self._own.close()
            with ExitStack() as opened:
                client = opened.enter_context(self._connect())
                self.session = opened.enter_context(
                    LiveSession(SessionPlan(address, style, {}), client, (self.outlet,))
                )
                self._own = opened.pop_all()
