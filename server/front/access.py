"""Access over the network: the allow-list, as ZeroMQ's authentication and the front ask it.

ZeroMQ asks in a thread of its own whenever a connection is made. The front asks again for every message, so that
nothing more is taken by a key that was removed from the list.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from impasto.server.auth import AllowedClient, AllowList

DENIALS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Identity:
    """The proven identity of a connection."""

    key: str = ""
    """The name of the CURVE key; empty on the local socket, where everybody is the same user."""
    admin: bool = True
    """Whether it may end the server."""


LOCAL_USER: Final = Identity()
"""Every client of the local socket."""


class NetworkAccess:
    """An allow-list that several threads ask."""

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        self._denied: deque[str] = deque(maxlen=DENIALS_KEPT)
        self._identities: dict[str, Identity] = {}
        self.refresh()

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a connection with this public key is allowed; ZeroMQ's authenticator calls it."""
        holder = self._holder(key)
        if holder is None:
            self._denied.append(key.decode("ascii", "replace"))
        return holder is not None

    def identity(self, key: str) -> Identity | None:
        """The holder of this public key (Z85); None once it is not on the list any more."""
        known = self._identities.get(key)
        if known is None and (holder := self._holder(key.encode("ascii", "replace"))) is not None:
            known = self._identities[key] = Identity(holder.name, holder.role == "admin")
        return known

    def refresh(self) -> None:
        """Read the list again; call it about once a second."""
        with self._lock:
            entries = self._allowed.entries()
        self._identities = {each.public.decode(): Identity(each.name, each.role == "admin") for each in entries}

    def names(self) -> set[str]:
        """The names of all keys on the list."""
        return {identity.key for identity in self._identities.values()}

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the folder of keys and its files, for the status."""
        return self._allowed.problems

    def denied(self) -> list[str]:
        """The public keys that were refused since the last time."""
        found = []
        while self._denied:
            found.append(self._denied.popleft())
        return found

    def _holder(self, key: bytes) -> AllowedClient | None:
        with self._lock:
            return self._allowed.user_of(key)
