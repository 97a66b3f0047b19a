"""Shared memory on the front's side: the ring of each client, and the front's own segments for pixels in messages.

A worker knows segments by number and maps each once. The front keeps the open files, so that a worker that takes the
place of a dead one can be given them too.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from impasto.server.front.outbox import OnSent, SendTracker
from impasto.server.protocol.codec import Malformed
from impasto.server.protocol.messages import Slot
from impasto.server.shared_memory import Segment, create_segment, map_segment

IDLE_S: Final = 60.0
"""After which an unused segment of the front's own is closed."""
SMALLEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class SlotPair:
    """Where the samples of a request are, and where its result goes."""

    segment: MappedSegment
    in_offset: int
    out_offset: int


class MappedSegment(Protocol):
    """A segment that workers map, by its number."""

    @property
    def number(self) -> int: ...
    @property
    def segment(self) -> Segment: ...


@dataclass(slots=True)
class _PairState:
    generation: int = 0
    before: int = 0
    busy: bool = False


@dataclass(slots=True, eq=False)
class SessionRing:
    """The ring of one session: which pairs are in use by the server, and each pair's last generation."""

    number: int
    segment: Segment
    ready: bool = False
    retired: bool = False
    """Another ring replaced it, or its session ended: it is closed after the last request on it."""
    pairs: list[_PairState] = field(init=False)

    def __post_init__(self) -> None:
        self.pairs = [_PairState() for _ in range(self.segment.pairs)]

    @property
    def busy(self) -> bool:
        """Whether a request still uses a pair."""
        return any(pair.busy for pair in self.pairs)

    def proves(self, nonce: bytes) -> bool:
        """Whether the client has read the nonce in its own mapping."""
        return hmac.compare_digest(nonce, self.segment.nonce)

    def claim(self, slot: Slot) -> SlotPair:
        """Take a pair for a request. Raises Malformed for one that is busy, stale or not there."""
        if slot.ring != self.number or not self.ready or self.retired:
            raise Malformed(
                f"expected the session's own ring whose mapping is proven, got ring {slot.ring}; send OpenRing and "
                f"AttachRing first",
                field="slot.ring",
            )
        if slot.pair >= len(self.pairs):
            raise Malformed(f"expected a pair below {len(self.pairs)}, got {slot.pair}", field="slot.pair")
        pair = self.pairs[slot.pair]
        if pair.busy:
            raise Malformed(
                f"expected a pair that is free, but a request in pair {slot.pair} has no answer yet; wait for it",
                field="slot.pair",
            )
        if slot.generation <= pair.generation:
            raise Malformed(
                f"expected a generation above {pair.generation} for pair {slot.pair}, got {slot.generation}",
                field="slot.generation",
            )
        pair.before, pair.generation, pair.busy = pair.generation, slot.generation, True
        return SlotPair(self, self.segment.in_offset(slot.pair), self.segment.out_offset(slot.pair))

    def release(self, slot: Slot, *, used: bool) -> None:
        """The pair is the client's again. One that no worker saw may be named with the same generation again."""
        pair = self.pairs[slot.pair]
        pair.busy = False
        if not used:
            pair.generation = pair.before

    def holds(self, slot: Slot) -> bool:
        """Whether the result of an earlier request is still in its slot."""
        return (
            slot.ring == self.number
            and not self.retired
            and slot.pair < len(self.pairs)
            and not self.pairs[slot.pair].busy
            and self.pairs[slot.pair].generation == slot.generation
        )


@dataclass(slots=True, eq=False)
class StagingSegment:
    """A segment of the front's own with one pair, mapped here too."""

    number: int
    segment: Segment
    memory: memoryview
    taken: bool = True
    tracker: SendTracker | None = None
    """Of the message that is still being sent out of it."""
    idle_since: float = 0.0

    @property
    def free(self) -> bool:
        """Whether nothing reads from it or writes into it any more."""
        return not self.taken and (self.tracker is None or self.tracker.done)

    @property
    def pair(self) -> SlotPair:
        """Its one pair."""
        return SlotPair(self, self.segment.in_offset(0), self.segment.out_offset(0))


class Staging:
    """Segments for requests whose pixels are in the message, kept for the next of about the same size.

    Only frames that a worker paints have one, so there are as many as slots of the workers, and a few that are still
    being sent. Opening one takes time in proportion to its bytes, so `open` is meant for a thread; the other methods
    are quick. Any thread may call them.
    """

    def __init__(self, number: Callable[[], int], clock: Callable[[], float]) -> None:
        """`number` gives each segment a number of its own."""
        self._number = number
        self._clock = clock
        self._lock = threading.Lock()
        self._segments: list[StagingSegment] = []

    def reuse(self, slot_bytes: int) -> StagingSegment | None:
        """A free segment of at least this size and at most twice; None where there is none."""
        need = _rounded(slot_bytes)
        with self._lock:
            fit = [each for each in self._segments if each.free and need <= each.segment.slot_bytes <= 2 * need]
            if not fit:
                return None
            best = min(fit, key=lambda each: each.segment.slot_bytes)
            best.taken, best.tracker = True, None
            return best

    def open(self, slot_bytes: int) -> StagingSegment:
        """A free segment as `reuse` finds it, or else a new one. Raises `shared_memory.NoRoom`."""
        if (found := self.reuse(slot_bytes)) is not None:
            return found
        segment = create_segment(_rounded(slot_bytes), 1)
        try:
            memory = memoryview(map_segment(segment.fd if segment.fd >= 0 else segment.path, segment.segment_bytes))
        except BaseException:
            segment.close()
            raise
        made = StagingSegment(self._number(), segment, memory)
        with self._lock:
            self._segments.append(made)
        return made

    def give_back(self, segment: StagingSegment, tracker: SendTracker | None = None) -> None:
        """The request is over; with a tracker, the segment is free once that says so."""
        with self._lock:
            segment.taken, segment.tracker, segment.idle_since = False, tracker, self._clock()

    def give_back_when_sent(self, segment: StagingSegment) -> OnSent:
        """A callback for the message that is sent out of this segment."""
        return lambda tracker: self.give_back(segment, tracker)

    def stale(self) -> list[StagingSegment]:
        """Take out the segments that were unused for a while; the caller has workers unmap them and closes them."""
        with self._lock:
            now = self._clock()
            old = [each for each in self._segments if each.free and now - each.idle_since > IDLE_S]
            self._segments = [each for each in self._segments if each not in old]
        return old

    def close(self) -> None:
        """Close every segment."""
        for each in self._segments:
            each.segment.close()
        self._segments.clear()


def _rounded(slot_bytes: int) -> int:
    """Sizes that are reused: a power of two up to a MiB, whole MiB beyond it."""
    if slot_bytes <= 1 << 20:
        return max(SMALLEST, 1 << (slot_bytes - 1).bit_length())
    return -(-slot_bytes // (1 << 20)) << 20
