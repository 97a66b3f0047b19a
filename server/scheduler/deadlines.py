"""Deadlines, the earliest first. One may lose its meaning before it comes."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

SLACK: Final = 64
"""Deadlines without meaning that are kept before they are swept."""


class Deadlines:
    """A heap of times; `counts` says whether the deadline of this key still means something."""

    def __init__(self, counts: Callable[[bytes, int], bool]) -> None:
        self._counts = counts
        self._heap: list[tuple[float, int, bytes]] = []
        self._sweep_at = SLACK

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, when: float, id: bytes, order: int) -> None:
        """Add a deadline."""
        if len(self._heap) >= self._sweep_at:
            self._heap = [each for each in self._heap if self._counts(each[2], each[1])]
            heapq.heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + SLACK
        heapq.heappush(self._heap, (when, order, id))

    def next(self) -> float | None:
        """The first that still means something."""
        while self._heap and not self._counts(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> bytes | None:
        """Take the first that has passed and still means something."""
        when = self.next()
        if when is None or when > now:
            return None
        return heapq.heappop(self._heap)[2]
