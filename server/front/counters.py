"""The figures of a server since its start: counters, frames per second, how long stages take, the last errors."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from impasto.server.protocol.messages import ErrorFacts, PastError
from impasto.server.protocol.text import cleaned

ERRORS_KEPT: Final = 16
SPANS_KEPT: Final = 256
"""Times of each stage that are kept for its median."""
STAGES: Final = 16
RATE_S: Final = 10.0

COUNTERS: Final[Mapping[str, str]] = {
    "frames": "Frames painted, of frame requests and of shots.",
    "frames_cached": "Those of them that were kept from an earlier time, and not painted now.",
    "frames_failed": "Frame requests that ended with an error.",
    "frames_cancelled": "Frame requests that were cancelled or superseded.",
    "frames_expired": "Frame requests whose deadline passed.",
    "jobs_started": "Shot jobs that were accepted.",
    "jobs_done": "Shot jobs that were finished.",
    "jobs_failed": "Shot jobs that ended with an error.",
    "jobs_cancelled": "Shot jobs that were cancelled.",
    "requests_refused": "Requests that were refused: no room, no credit, draining.",
    "requests_retried": "Requests that were given to a second worker.",
    "requests_quarantined": "Requests that killed two workers.",
    "requests_replayed": "Requests that came again and got the kept answer, or that of the request that runs.",
    "messages_malformed": "Messages that do not follow the protocol.",
    "sessions_opened": "Clients that connected.",
    "sessions_resumed": "Clients that came back to their session.",
    "sessions_lost": "Sessions that ended because their client was silent or did not read.",
    "sessions_refused": "Clients that were refused.",
    "keys_refused": "Connections without a key that is allowed.",
    "handshakes_failed": "Connections of other machines that ended before they showed a key.",
    "rings_opened": "Segments of shared memory that were made for clients.",
    "rings_refused": "Segments of shared memory that could not be made.",
    "bytes_in": "Bytes of samples that came inside messages.",
    "bytes_out": "Bytes of samples that left inside messages.",
    "workers_lost": "Workers that died or were killed.",
    "workers_hung": "Workers that were killed because they made no progress.",
    "styles_changed": "Style files that were checked and accepted.",
    "styles_refused": "Style files that were checked and refused.",
}
"""Name of each counter -> what it counts."""


class Rate:
    """How many events there were per second, over the last `RATE_S` seconds, counted in slices of a tenth."""

    def __init__(self) -> None:
        self._slices: deque[tuple[int, int]] = deque(maxlen=int(RATE_S * 10))

    def add(self, now: float, count: int = 1) -> None:
        """Count this many events. `now` never runs backwards."""
        tenth = math.floor(now * 10)
        if self._slices and self._slices[-1][0] == tenth:
            count += self._slices.pop()[1]
        self._slices.append((tenth, count))

    def per_second(self, now: float) -> float:
        """The mean of the last `RATE_S` seconds, also if the server is younger than that."""
        first = math.floor(now * 10) - RATE_S * 10
        return sum(count for tenth, count in self._slices if tenth > first) / RATE_S


@dataclass(frozen=True, slots=True)
class StageFacts:
    """How long one stage takes, in seconds."""

    last_s: float
    median_s: float
    """The median of the last `SPANS_KEPT` times."""
    total_s: float
    count: int


@dataclass(slots=True)
class _Stage:
    spans: deque[float] = field(default_factory=lambda: deque(maxlen=SPANS_KEPT))
    total_s: float = 0.0
    count: int = 0


class StageTimes:
    """How long the stages of requests take: 'queue', 'upload', 'network', 'download', 'commit' …"""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}

    def add(self, seconds: Mapping[str, float]) -> None:
        """Note the stages of one request. At most `STAGES` stages are kept, the first ones."""
        for name, taken_s in seconds.items():
            stage = self._stages.get(name)
            if stage is None:
                if len(self._stages) >= STAGES:
                    continue
                stage = self._stages[name] = _Stage()
            stage.spans.append(taken_s)
            stage.total_s += taken_s
            stage.count += 1

    def facts(self) -> dict[str, StageFacts]:
        """Stage -> how long it takes."""
        return {
            name: StageFacts(stage.spans[-1], statistics.median(stage.spans), stage.total_s, stage.count)
            for name, stage in self._stages.items()
        }


class Counters:
    """The figures of a server since its start. One owner, one thread."""

    def __init__(self) -> None:
        self.stages = StageTimes()
        self._frames = Rate()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._errors: deque[tuple[float, ErrorFacts]] = deque(maxlen=ERRORS_KEPT)

    def count(self, counter: str, by: int = 1) -> None:
        """Add to one of `COUNTERS`; KeyError for any other."""
        self._counters[counter] += by

    def painted(self, now: float, seconds: Mapping[str, float] | None = None, frames: int = 1, cached: int = 0) -> None:
        """Note frames that were painted, and how long the stages of one took, if that is known."""
        self.count("frames", frames)
        self.count("frames_cached", cached)
        self._frames.add(now, frames)
        if seconds:
            self.stages.add(seconds)

    def failed(self, now: float, error: ErrorFacts) -> None:
        """Keep an error that a client got, for the status."""
        self._errors.append((now, error))

    def totals(self) -> dict[str, int]:
        """Name of each counter -> its count since the start."""
        return dict(self._counters)

    def frames_per_second(self, now: float) -> float:
        """Frames painted per second, over the last `RATE_S` seconds."""
        return self._frames.per_second(now)

    def errors(self, now: float) -> tuple[PastError, ...]:
        """The last errors, newest last."""
        return tuple(
            PastError(max(0.0, now - then), error.code, cleaned(error.message), cleaned(error.incident, 64))
            for then, error in self._errors
        )
