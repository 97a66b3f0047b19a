"""The one session with the render server that all tabs share, made at its first use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from impasto.server.client import Client

Answer = TypeVar("Answer")


class SharedClient:
    """Calls the client in threads, because it waits. A session that was lost is opened again by the next call.

    Errors of the server come out as they are.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """The client, connected and the server started where it does not run. Raises as `Client.connect` does."""
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await asyncio.to_thread(self._connect)
        return self._client

    async def ask(self, question: Callable[[Client], Answer]) -> Answer:
        """What the client answers, asked in a thread."""
        client = await self.client()
        return await asyncio.to_thread(question, client)

    async def close(self) -> None:
        """Leave the server, where a session was made."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)
