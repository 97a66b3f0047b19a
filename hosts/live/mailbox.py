"""A place for one item between two threads: the newest wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds the newest item until it is taken. An item that nobody took makes room for the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leave an item; whether it took the place of one that nobody had taken. Never waits."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float) -> Item | None:
        """The item, as soon as there is one; None after `timeout_s`, and at once where the box is closed and empty."""
        with self._changed:
            if self._item is None and not self._closed:
                self._changed.wait(timeout_s)
            item, self._item = self._item, None
            return item

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take."""
        return self._item is None

    def close(self) -> None:
        """Wake whoever waits; what is in the box can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
