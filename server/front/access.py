"""Who may come in over the network: the allow-list as ZeroMQ's authentication and the front ask it.

ZeroMQ asks in a thread of its own whenever a connection is made; the front asks again for what comes over it, so that
a key that was taken off the list ends at once what it began.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from impasto.server.auth import AllowedClient, AllowList
from impasto.server.front.sessions import Visitor

DENIALS_KEPT: Final = 256


class Gate:
    """An allow-list that several threads ask."""

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed
        self._asking = threading.Lock()
        self._denied: deque[str] = deque(maxlen=DENIALS_KEPT)
        self._visitors: dict[str, Visitor] = {}

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a connection with this public key is let in; what ZeroMQ's authenticator calls."""
        holder = self._holder(key)
        if holder is None:
            self._denied.append(key.decode("ascii", "replace"))
        return holder is not None

    def visitor(self, key: str) -> Visitor | None:
        """Who the holder of this public key (Z85) is; None once it is on the list no more."""
        known = self._visitors.get(key)
        if known is None and (holder := self._holder(key.encode("ascii", "replace"))) is not None:
            known = self._visitors[key] = Visitor(holder.name, holder.role == "admin")
        return known

    def refresh(self) -> None:
        """Look at the list again; call it about once a second."""
        with self._asking:
            entries = self._allowed.entries()
        self._visitors = {each.public.decode(): Visitor(each.name, each.role == "admin") for each in entries}

    def names(self) -> set[str]:
        """Who is on the list."""
        return {visitor.key for visitor in self._visitors.values()}

    def denied(self) -> list[str]:
        """The public keys that were refused since the last time."""
        found = []
        while self._denied:
            found.append(self._denied.popleft())
        return found

    def _holder(self, key: bytes) -> AllowedClient | None:
        with self._asking:
            return self._allowed.user_of(key)
