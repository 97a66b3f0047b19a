"""The client's side of a ring: opening it, which pairs of slots are free, and results as views of its memory."""

from __future__ import annotations

import mmap
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ImpastoError, NotPermitted, ServerBusy, ServerError, ServerUnreachable, UsageError
from impasto.server.client.session import ClientSession, new_id
from impasto.server.client.timed_lock import TimedLock
from impasto.server.protocol.messages import AttachRing, CloseRing, OpenRing, RingOffered, RingReady
from impasto.server.shared_memory import SegmentLayout, map_segment, populate_pages, read_nonce

Bytes = npt.NDArray[np.uint8]

POLL_S: Final = 0.1
OPEN_S: Final = 10.0
AGAIN_S: Final = 30.0
"""After a server had no memory for a ring, how long pixels go inline before it is asked again."""


class _Lease:
    """An out-slot that is on loan to the host: numpy arrays made of it keep it alive, and it keeps the memory."""

    __slots__ = ("__array_interface__", "__weakref__", "_memory")

    def __init__(self, slot: Bytes) -> None:
        self._memory = slot
        self.__array_interface__ = slot.__array_interface__


class _FreePairs:
    """Free pairs, the one that came back last first: what of it is still in the processor's cache need not be fetched.

    `put` may be called from anywhere, a garbage collection in the middle of another call of it included. The queue
    bears no pairs, it counts them, because it can be waited for.
    """

    def __init__(self, pairs: int) -> None:
        self._pairs: deque[int] = deque()
        self._count: queue.SimpleQueue[None] = queue.SimpleQueue()
        for pair in reversed(range(pairs)):
            self.put(pair)

    def put(self, pair: int) -> None:
        self._pairs.append(pair)
        self._count.put(None)

    def get(self, timeout_s: float) -> int:
        """Raises `queue.Empty` after this long."""
        self._count.get(timeout_s > 0, max(0.0, timeout_s))
        return self._pairs.pop()


class RingPairs:
    """A mapped ring and its pairs. A pair is free, taken (by a writer, then the server), or on loan as a result.

    Results outlive the ring: the memory stays mapped until the last array of it is gone. What is on loan comes back
    from the thread that drops the last array, inside the garbage collector if need be, so it takes no lock.
    """

    def __init__(self, number: int, mapped: mmap.mmap, layout: SegmentLayout) -> None:
        self.number = number
        self.layout = layout
        self._memory: Bytes = np.frombuffer(mapped, np.uint8)
        self._free = _FreePairs(layout.pairs)
        self._generations = [0] * layout.pairs
        self._lock = threading.Lock()
        self._users = 0

    @property
    def in_use(self) -> bool:
        """Whether a pair is waited for or taken. Results do not count."""
        with self._lock:
            return self._users > 0

    def enter(self) -> None:
        """Announce a `take`: a ring in use is not replaced."""
        with self._lock:
            self._users += 1

    def take(self, until: float, check: Callable[[], None]) -> TakenPair:
        """A free pair, after `enter`. `check` is called while waiting and may raise. ServerBusy after `until`."""
        begun = time.monotonic()
        try:
            while True:
                left = until - time.monotonic()
                try:
                    return TakenPair(self, self._free.get(min(POLL_S, left)))
                except queue.Empty:
                    check()
                    if left <= 0:
                        raise ServerBusy(
                            f"expected one of {self.layout.pairs} pairs of slots to become free within "
                            f"{max(0.0, until - begun):.3g} s, got none; release results that are no longer shown, or "
                            f"wait for requests that are under way"
                        ) from None
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1


class TakenPair:
    """A pair of slots between `take` and its return: it is given back or lent once, whichever comes first."""

    def __init__(self, ring: RingPairs, pair: int) -> None:
        self._ring, self.pair = ring, pair
        self._claims = deque((None,))

    @property
    def ring(self) -> int:
        """The ring's number."""
        return self._ring.number

    def next_generation(self) -> int:
        """By which the server knows this use of the pair from the ones before."""
        self._ring._generations[self.pair] += 1
        return self._ring._generations[self.pair]

    def in_slot(self) -> Bytes:
        """The bytes of the in-slot, writable."""
        begin = self._ring.layout.in_offset(self.pair)
        return self._ring._memory[begin : begin + self._ring.layout.slot_bytes]

    def give_back(self) -> None:
        """The pair is free again. Nothing happens where it was given back or lent before."""
        if self._claim():
            self._ring._free.put(self.pair)
            self._ring._leave()

    def lend(self) -> tuple[Bytes, weakref.finalize[Any, Any]]:
        """The out-slot as an array, and what gives the pair back. ServerError where it was given back before.

        The pair comes back when no array of it is left, or when that is called; once, whichever is first.
        """
        if not self._claim():
            raise ServerError("expected the memory of the result, it was given back; submit the frame again")
        begin = self._ring.layout.out_offset(self.pair)
        lease = _Lease(self._ring._memory[begin : begin + self._ring.layout.slot_bytes])
        back = weakref.finalize(lease, self._ring._free.put, self.pair)
        back.atexit = False
        self._ring._leave()
        return np.asarray(lease), back

    def _claim(self) -> bool:
        """Whether this call is the first; two threads may try at once."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True


class RingClient:
    """The ring of a session: opened for the first frame, again for larger ones, and done without where it must be."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._opening = TimedLock()
        self._ring: RingPairs | None = None
        self._session = b""
        self._not_before = 0.0
        self.problem = ""
        """Why pixels go inline; empty while they do not."""

    @property
    def transport(self) -> Literal["ring", "inline"]:
        """How the last frame went."""
        return "inline" if self._ring is None else "ring"

    def enter(self, session: ClientSession, slot_bytes: int, until: float) -> RingPairs | None:
        """The ring, if it holds slots of this size, with a use announced; None where the pixels go inline.

        A ring of larger slots takes its place unless a pair of it is in use. Raises ServerBusy.
        """
        if "ring" not in session.welcome.transports:
            self.problem = self.problem or "the server is on another machine"
            return None
        return self._opening.run(
            lambda: self._enter(session, slot_bytes, until),
            until - time.monotonic(),
            lambda: ServerBusy("expected the ring to be opened in time, another thread still waits for it; try again"),
        )

    def _enter(self, session: ClientSession, slot_bytes: int, until: float) -> RingPairs | None:
        if session.welcome.session != self._session:
            self._session, self._ring, self._not_before, self.problem = session.welcome.session, None, 0.0, ""
        ring = self._ring
        if ring is None or ring.layout.slot_bytes < slot_bytes:
            if (ring is not None and ring.in_use) or time.monotonic() < self._not_before:
                return None
            ring = self._open(session, slot_bytes, until)
        if ring is not None:
            ring.enter()
        return ring

    def _open(self, session: ClientSession, slot_bytes: int, until: float) -> RingPairs | None:
        left = max(0.1, min(OPEN_S, until - time.monotonic()))
        id = new_id()
        try:
            offered, _ = session.ask(OpenRing(id, slot_bytes, self._pairs), RingOffered, id, left)
        except (ServerUnreachable, UsageError):
            raise
        except ImpastoError as error:
            # No memory now. The session keeps the ring that it had; only this size does without.
            self._not_before, self.problem = time.monotonic() + AGAIN_S, str(error)
            return None
        try:
            self._ring = _attach(session, offered, left)
        except (ServerUnreachable, UsageError):
            self._ring = None  # the server may have put the new one in its place already
            raise
        except ImpastoError as error:
            # Another container, another user's view of /proc: the same machine, but no memory in common.
            session.send("control", CloseRing(offered.ring))
            self._not_before, self.problem = float("inf"), str(error)
            return None
        self.problem = ""
        return self._ring


def _attach(session: ClientSession, offered: RingOffered, timeout_s: float) -> RingPairs:
    layout = SegmentLayout(offered.slot_bytes, offered.pairs, offered.first_slot, offered.nonce_offset)
    if layout.segment_bytes > offered.segment_bytes or layout.nonce_offset + 16 > layout.first_slot:
        raise NotPermitted(f"expected a ring of at least {layout.segment_bytes} bytes, got {offered.segment_bytes}")
    mapped = map_segment(offered.path, offered.segment_bytes, populate=False)
    proof = AttachRing(new_id(), offered.ring, read_nonce(mapped, layout))
    session.ask(proof, RingReady, proof.id, timeout_s)
    populate_pages(mapped)
    return RingPairs(offered.ring, mapped, layout)
