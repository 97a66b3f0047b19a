"""Shared memory on the front's side: the ring of each client, and the front's own segments for pixels in messages.

A worker knows segments by number and maps each once. The front keeps the open files, so that a worker that takes the
place of a dead one can be given them too.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from impasto.server.front.outbox import Receipt
from impasto.server.protocol.codec import Malformed
from impasto.server.protocol.messages import Slot
from impasto.server.shared_memory import Segment, create_segment, map_segment

IDLE_S: Final = 60.0
"""After which a segment of the front's own that nobody needed is given back."""
SMALLEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where the samples of a request are, and where its result goes."""

    segment: Mapped
    in_offset: int
    out_offset: int


class Mapped(Protocol):
    """A segment as workers are told of it."""

    @property
    def number(self) -> int: ...
    @property
    def segment(self) -> Segment: ...


@dataclass(slots=True)
class _Pair:
    generation: int = 0
    before: int = 0
    busy: bool = False


@dataclass(slots=True, eq=False)
class Ring:
    """The ring of one session: which pairs are the server's now, and each pair's last generation."""

    number: int
    segment: Segment
    ready: bool = False
    retired: bool = False
    """Another ring took its place, or its session ended: it goes when the last request on it does."""
    pairs: list[_Pair] = field(init=False)

    def __post_init__(self) -> None:
        self.pairs = [_Pair() for _ in range(self.segment.pairs)]

    @property
    def busy(self) -> bool:
        """Whether a request still uses a pair."""
        return any(pair.busy for pair in self.pairs)

    def proves(self, nonce: bytes) -> bool:
        """Whether the client has read the nonce in its own mapping."""
        return hmac.compare_digest(nonce, self.segment.nonce)

    def claim(self, slot: Slot) -> Place:
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
        return Place(self, self.segment.in_offset(slot.pair), self.segment.out_offset(slot.pair))

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
class Stage:
    """A segment of the front's own with one pair, mapped here too."""

    number: int
    segment: Segment
    memory: memoryview
    taken: bool = True
    receipt: Receipt | None = None
    """Of the message that is still being sent out of it."""
    idle_since: float = 0.0

    @property
    def free(self) -> bool:
        """Whether nothing reads from it or writes into it any more."""
        return not self.taken and (self.receipt is None or self.receipt.done)

    def place(self) -> Place:
        """Where the one pair is."""
        return Place(self, self.segment.in_offset(0), self.segment.out_offset(0))


class Staging:
    """Segments for requests whose pixels are in the message, kept for the next of about the same size.

    Only what a worker is painting has one, so there are as many as turns at once, and a few that are still being
    sent. Opening one takes time in proportion to its bytes: `open_stage` is meant for a thread.
    """

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._stages: list[Stage] = []

    def take(self, slot_bytes: int) -> Stage | None:
        """A free stage of at least this size and at most twice; None where the caller has to open one."""
        need = _rounded(slot_bytes)
        fit = [stage for stage in self._stages if stage.free and need <= stage.segment.slot_bytes <= 2 * need]
        if not fit:
            return None
        best = min(fit, key=lambda stage: stage.segment.slot_bytes)
        best.taken, best.receipt = True, None
        return best

    def adopt(self, segment: Segment, memory: memoryview) -> Stage:
        """Keep a segment that was opened in a thread; it is taken by whoever asked for it."""
        stage = Stage(self._number(), segment, memory)
        self._stages.append(stage)
        return stage

    def give_back(self, stage: Stage, receipt: Receipt | None, now: float) -> None:
        """The request is over; with a receipt, the stage is free once that says so."""
        stage.taken, stage.receipt, stage.idle_since = False, receipt, now

    def stale(self, now: float) -> list[Stage]:
        """Take out the stages that nobody needed for a while; the caller tells the workers and closes them."""
        old = [stage for stage in self._stages if stage.free and now - stage.idle_since > IDLE_S]
        self._stages = [stage for stage in self._stages if stage not in old]
        return old

    def close(self) -> None:
        """Close every segment."""
        for stage in self._stages:
            stage.segment.close()
        self._stages.clear()


def open_stage(slot_bytes: int) -> tuple[Segment, memoryview]:
    """A new segment with one pair, and the front's own mapping of it. Raises `ring.NoRoom`."""
    segment = create_segment(_rounded(slot_bytes), 1)
    try:
        return segment, memoryview(map_segment(segment.fd if segment.fd >= 0 else segment.path, segment.segment_bytes))
    except BaseException:
        segment.close()
        raise


def _rounded(slot_bytes: int) -> int:
    """Sizes that are reused: a power of two up to a MiB, whole MiB beyond it."""
    if slot_bytes <= 1 << 20:
        return max(SMALLEST, 1 << (slot_bytes - 1).bit_length())
    return -(-slot_bytes // (1 << 20)) << 20
