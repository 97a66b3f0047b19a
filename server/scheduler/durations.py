"""How long tasks took lately, in each lane."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final

from impasto.server.protocol.field_types import Lane

RECENT: Final = 64
"""Tasks of a lane that count."""


class DurationMedians:
    """The medians of the newest task times."""

    def __init__(self) -> None:
        lanes: tuple[Lane, Lane] = ("interactive", "batch")
        self._recent: dict[Lane, deque[float]] = {lane: deque() for lane in lanes}
        self._ordered: dict[Lane, list[float]] = {lane: [] for lane in lanes}

    def took(self, lane: Lane, seconds: float) -> None:
        """A task of this lane ran to its end."""
        recent, ordered = self._recent[lane], self._ordered[lane]
        if len(recent) == RECENT:
            del ordered[bisect_left(ordered, recent.popleft())]
        recent.append(seconds)
        insort(ordered, seconds)

    def median(self, lane: Lane) -> float | None:
        """None before the first task of the lane ended."""
        ordered = self._ordered[lane]
        return ordered[len(ordered) // 2] if ordered else None
