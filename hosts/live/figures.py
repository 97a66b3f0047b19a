"""How a live session goes: what came, what was painted, how old it was."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final

from impasto.core.frozen_dataclass import frozen_dataclass

SPAN_S: Final = 3.0
"""Seconds over which rates and ages are told."""
LEAST_SPAN_S: Final = 1.0
"""What came within less is taken for that long, so that a burst is no rate."""


@frozen_dataclass
class SessionFigures:
    """A session at one moment."""

    source: str
    width: int
    height: int
    """Of the plates; 0 before the first."""
    came: int
    """Pictures of the source."""
    painted: int
    dropped: int
    """Pictures that nobody painted, because a newer one was there: the source is never held up. Those that came while
    nobody looked do not count."""
    fps_in: float
    fps: float
    """Paintings a second, over the last three seconds, as `fps_in`."""
    painting_ms: float
    """What the server takes for a frame, in the middle."""
    age_p50_ms: float
    age_p95_ms: float
    """Of paintings, from the source to the sinks."""
    rung: str
    reason: str
    problem: str
    """Why no painting is shown; empty while one is."""


class SpanOfValues:
    """Values of the last seconds, with their times. Any thread may add and ask."""

    def __init__(self, span_s: float = SPAN_S) -> None:
        self._span_s = span_s
        self._lock = threading.Lock()
        self._values: deque[tuple[float, float]] = deque()

    def add(self, now: float, value: float) -> None:
        """Note a value."""
        with self._lock:
            self._values.append((now, value))
            self._drop(now)

    def rate(self, now: float) -> float:
        """Values a second."""
        with self._lock:
            self._drop(now)
            if len(self._values) < 2:
                return 0.0
            return (len(self._values) - 1) / max(LEAST_SPAN_S, now - self._values[0][0])

    def share(self, now: float, share: float) -> float:
        """The value that this share of them do not exceed; 0 where there are none."""
        with self._lock:
            self._drop(now)
            ordered = sorted(value for _, value in self._values)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0

    def _drop(self, now: float) -> None:
        while self._values and now - self._values[0][0] > self._span_s:
            self._values.popleft()
