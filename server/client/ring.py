"""The client's side of a ring: which pairs of slots are free, who holds the others, and results as views of them."""

from __future__ import annotations

import mmap
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ServerBusy
from impasto.server.shared_memory import Layout

Bytes = npt.NDArray[np.uint8]

LOOK_S = 0.1


class _Lease:
    """An out-slot that is on loan to the host: numpy arrays made of it keep it alive, and it keeps the memory."""

    __slots__ = ("__array_interface__", "__weakref__", "_memory")

    def __init__(self, slot: Bytes) -> None:
        self._memory = slot
        self.__array_interface__ = slot.__array_interface__


class _Free:
    """Free pairs, the one that came back last first: what of it is still in the processor's cache need not be fetched.

    May be put to from anywhere, a garbage collection in the middle of another call of it included: the queue bears no
    pairs, it counts them, because it can be waited for.
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
    """A mapped ring and its pairs. A pair is free, with a writer, with the server, or on loan as a result.

    Results outlive the ring: the memory stays mapped until the last array of it is gone. What is on loan comes back
    from whichever thread drops the last array, inside the garbage collector if need be, so giving back takes no lock.
    """

    def __init__(self, number: int, mapped: mmap.mmap, layout: Layout) -> None:
        self.number = number
        self.layout = layout
        self._memory: Bytes = np.frombuffer(mapped, np.uint8)
        self._free = _Free(layout.pairs)
        self._generations = [0] * layout.pairs
        self._lock = threading.Lock()
        self._users = 0

    @property
    def in_use(self) -> bool:
        """Whether somebody waits for a pair, writes into one, or has one with the server. Results do not count."""
        with self._lock:
            return self._users > 0

    def enter(self) -> None:
        """Announce a use, before `take`: a ring in use is not replaced."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """End a use: the pair was given back or is on loan as a result, or none was to be had."""
        with self._lock:
            self._users -= 1

    def take(self, until: float, check: Callable[[], None]) -> int:
        """A free pair. `check` is called while waiting and may raise. Raises ServerBusy after `until` (monotonic)."""
        begun = time.monotonic()
        while True:
            left = until - time.monotonic()
            try:
                return self._free.get(min(LOOK_S, left))
            except queue.Empty:
                check()
                if left <= 0:
                    raise ServerBusy(
                        f"expected one of {self.layout.pairs} pairs of slots to become free within "
                        f"{max(0.0, until - begun):.3g} s, got none; release results that are no longer shown, or "
                        f"wait for requests that are under way"
                    ) from None

    def give_back(self, pair: int) -> None:
        """A pair is free again."""
        self._free.put(pair)

    def next_generation(self, pair: int) -> int:
        """By which the server knows this use of the pair from the ones before."""
        self._generations[pair] += 1
        return self._generations[pair]

    def in_slot(self, pair: int) -> Bytes:
        """The bytes of an in-slot, writable."""
        begin = self.layout.in_offset(pair)
        return self._memory[begin : begin + self.layout.slot_bytes]

    def lend(self, pair: int) -> tuple[Bytes, weakref.finalize[Any, Any]]:
        """The out-slot of a pair as an array, and what gives the pair back.

        The pair comes back when no array of it is left, or when that is called; once, whichever is first.
        """
        begin = self.layout.out_offset(pair)
        lease = _Lease(self._memory[begin : begin + self.layout.slot_bytes])
        back = weakref.finalize(lease, self._free.put, pair)
        back.atexit = False
        return np.asarray(lease), back
