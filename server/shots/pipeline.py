"""Items produced in a thread of their own, a few ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

WAIT_S = 0.1
"""The longest that either side waits before it looks whether the other still wants it."""
LEAVE_S = 15.0
"""The longest that leaving waits for a source that hangs: more than a camera or stream takes to give up."""


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


class _End:
    pass


class ReadAhead(Generic[Item]):
    """The items of a generator, run in a thread, at most `depth` waiting and one in the making.

    The thread starts with the `with` block and has ended when the block is left; the generator is
    closed in the thread that ran it, so a reader opened inside it has one owner. What the generator
    raises is raised to the taker as it is, after the items that came before it.
    """

    def __init__(self, items: Generator[Item, None, None], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _Raised | _End] = queue.Queue(depth)
        self._left = threading.Event()
        # A daemon, because a driver that never returns must not keep the program from ending.
        self._thread = threading.Thread(target=self._produce, name="impasto-read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join(LEAVE_S)

    def take(self, stopped: Callable[[], bool]) -> Iterator[Item]:
        """Every item, in order; ends early once `stopped` says so. Raises what the generator raised."""
        while not stopped():
            try:
                item = self._queue.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            if isinstance(item, _Raised):
                raise item.error
            yield item

    def _produce(self) -> None:
        last: _Raised | _End = _End()
        try:
            for item in self._items:
                if not self._offer(item):
                    break
        except BaseException as error:  # noqa: BLE001  # raised again where the item would have been taken
            last = _Raised(error)
        finally:
            self._items.close()
        self._offer(last)

    def _offer(self, item: Item | _Raised | _End) -> bool:
        """Wait for room; False once nobody takes any more."""
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=WAIT_S)
            except queue.Full:
                continue
            return True
        return False
