"""Times at which something is due, the earliest first, which may lose their meaning before they come."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

SLACK: Final = 64
"""Alarms without meaning that are kept before they are swept."""


class Alarms:
    """A heap of times; `counts` says whether the alarm of this key still means something."""

    def __init__(self, counts: Callable[[bytes, int], bool]) -> None:
        self._counts = counts
        self._heap: list[tuple[float, int, bytes]] = []
        self._sweep_at = SLACK

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, when: float, id: bytes, order: int) -> None:
        """Let an alarm ring at this time."""
        if len(self._heap) >= self._sweep_at:
            self._heap = [alarm for alarm in self._heap if self._counts(alarm[2], alarm[1])]
            heapq.heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + SLACK
        heapq.heappush(self._heap, (when, order, id))

    def next(self) -> float | None:
        """When the first rings that still means something."""
        while self._heap and not self._counts(self._heap[0][2], self._heap[0][1]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> bytes | None:
        """Take the first that has rung by now and still means something."""
        when = self.next()
        if when is None or when > now:
            return None
        return heapq.heappop(self._heap)[2]
