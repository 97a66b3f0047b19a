"""What a worker has in hand: the requests and jobs under way, and the memory that their samples pass through."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """Leaves the work on a frame request that the front cancelled."""


class MappedRing:
    """A mapped segment, released when it is dropped and the last frame that uses it has ended."""

    def __init__(self, segment: mmap.mmap, release: Callable[[], None]) -> None:
        self._segment, self._release = segment, release
        self._lock = threading.Lock()
        self._users = 1
        """The front's own interest, and one for each frame."""

    @contextmanager
    def used(self) -> Iterator[mmap.mmap]:
        """The segment, which stays as long as this is open."""
        with self._lock:
            self._users += 1
        try:
            yield self._segment
        finally:
            self.drop()

    def drop(self) -> None:
        """One user less."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._release()


class WorkItem:
    """A request or job under way: whether it is to stop, and whether it moves."""

    def __init__(self, id: bytes, moved: Callable[[bytes], None]) -> None:
        self.id = id
        self.stopped = False
        self._moved = moved

    def moved(self) -> None:
        """Note progress for the next beat."""
        self._moved(self.id)

    def check(self) -> None:
        """Note progress, and raise Stopped where the item was told to stop."""
        self.moved()
        if self.stopped:
            raise Stopped
