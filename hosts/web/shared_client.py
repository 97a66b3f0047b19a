"""The one session with the render server that all tabs share, made at its first use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

from anyio import to_thread

from impasto.core.errors import ServerUnreachable
from impasto.server.client import Client
from impasto.server.protocol.messages import Status

Answer = TypeVar("Answer")
STATUS_S: Final = 1.0
"""How old a status may be that is shown: however many tabs ask, the server is asked once in this time."""


class SharedClient:
    """Calls the client in threads, because it waits. A session that was lost is opened again by the next call.

    Errors of the server come out as they are.
    """

    def __init__(
        self, connect: Callable[[], Client], is_running: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`is_running` says whether a server is there, or may be: a question alone must not start one."""
        self._connect, self._is_running, self._clock = connect, is_running, clock
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._status: tuple[float, Status] | None = None
        self._asking = asyncio.Lock()

    async def client(self) -> Client:
        """The client, connected and the server started where it does not run. Raises as `Client.connect` does."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await to_thread.run_sync(self._connect)
        return self._client

    async def ask(self, question: Callable[[Client], Answer]) -> Answer:
        """What the client answers, asked in a thread."""
        client = await self.client()
        return await to_thread.run_sync(question, client)

    async def status(self) -> Status:
        """How the server is. Raises ServerUnreachable where none runs."""
        async with self._asking:
            if not await to_thread.run_sync(self._is_running):
                self._status = None
                raise ServerUnreachable("no render server runs; the next picture starts one, or `impasto serve` does")
            now = self._clock()
            if self._status is None or now - self._status[0] >= STATUS_S:
                self._status = now, await self.ask(lambda client: client.status(timeout_s=5.0))
            return self._status[1]

    async def close(self) -> None:
        """Leave the server, where a session was made."""
        client, self._client = self._client, None
        if client is not None:
            await to_thread.run_sync(client.close)
