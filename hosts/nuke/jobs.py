"""The jobs of one session: one for each node at a time, and one node at a time that writes plates."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import lru_cache
from typing import Callable, Iterator

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke.pipeline import WriteCancelled

LOOK_S = 0.1
"""How often somebody who waits looks whether the wait is over for another reason."""


class Ticket:
    """A job's place: whether it is to stop."""

    def __init__(self, identity: str, name: str) -> None:
        self.identity, self.name = identity, name
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._stop.set()

    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._stop.is_set()


class Desk:
    """Runs jobs on threads of their own and hands out the one turn to write plates."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._tickets: dict[str, Ticket] = {}

    def take(self, identity: str, name: str) -> Ticket:
        """A place for a node's job. BridgeError where one of the same node is under way."""
        with self._lock:
            if identity in self._tickets:
                raise BridgeError(f"expected {name} to be idle, it is being painted; wait, or press Cancel first")
            ticket = self._tickets[identity] = Ticket(identity, name)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place back, if it is still this ticket's."""
        with self._lock:
            if self._tickets.get(ticket.identity) is ticket:
                del self._tickets[ticket.identity]

    def start(self, ticket: Ticket, work: Callable[[], None]) -> threading.Thread:
        """Do the work on a thread, and give the place back when it is done, however it ends."""

        def run() -> None:
            try:
                work()
            finally:
                self.leave(ticket)

        thread = threading.Thread(target=run, name=f"impasto {ticket.name}", daemon=True)
        thread.start()
        return thread

    @contextmanager
    def turn(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Wait until nobody else writes plates, and let nobody begin. WriteCancelled where that is cancelled."""
        while not self._turn.acquire(timeout=LOOK_S):
            if cancelled():
                raise WriteCancelled
        try:
            if cancelled():
                raise WriteCancelled
            yield
        finally:
            self._turn.release()

    def cancel(self, identity: str) -> bool:
        """Ask a node's job to stop; whether there is one."""
        with self._lock:
            ticket = self._tickets.get(identity)
        if ticket is not None:
            ticket.cancel()
        return ticket is not None

    def busy(self, identity: str) -> bool:
        """Whether a node's job is under way."""
        with self._lock:
            return identity in self._tickets

    def names(self) -> list[str]:
        """Of the nodes that are being painted."""
        with self._lock:
            return [each.name for each in self._tickets.values()]


@lru_cache(maxsize=None)
def desk() -> Desk:
    """The desk of this session."""
    return Desk()
