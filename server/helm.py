"""Files to wait for, and who does: a thread of their own, or for a while another one that is to act on them anyway.

A client that waits for an answer and reads it itself, a worker that paints in the thread that was told to: either is
spared the change from one thread to another, which takes longer than the message. The files change hands inside the
kernel (an epoll set within another), so that the thread which waits for them is not woken by it. Where the system has
no epoll their own thread listens always.
"""

from __future__ import annotations

import select
import selectors
import sys
import threading
from collections.abc import Iterable


class _Watch:
    """A set of files, to wait until one can be read. One thread waits; others may add and remove meanwhile."""

    def __init__(self, files: Iterable[int] = ()) -> None:
        if sys.platform == "linux":
            self._set = select.epoll()
        else:
            self._set = selectors.DefaultSelector()
        for file in files:
            self.add(file)

    def fileno(self) -> int:
        """Linux: a file that can be read when one of the set can."""
        return self._set.fileno() if sys.platform == "linux" else -1

    def add(self, file: int) -> None:
        """Wait for this file too."""
        self._set.register(file, select.EPOLLIN if sys.platform == "linux" else selectors.EVENT_READ)

    def remove(self, file: int) -> None:
        """Wait for it no more; KeyError or OSError for one that is not there."""
        self._set.unregister(file)

    def wait(self, timeout_s: float) -> set[int]:
        """The files that can be read; none after this long."""
        if sys.platform == "linux":
            found = {file for file, _ in self._set.poll(timeout_s)}
        else:
            found = {key.fd for key, _ in self._set.select(timeout_s)}
        return found

    def close(self) -> None:
        """Let go of the set; the files stay open."""
        self._set.close()


class Helm:
    """Some files, and who listens to them. Whoever has the helm, and nobody else, acts on what they bring."""

    def __init__(self, files: Iterable[int]) -> None:
        self._held = threading.Lock()
        self.guest: int | None = None
        """The thread that has taken over."""
        self._files = _Watch(files)
        self._changes_hands = sys.platform == "linux"
        self._own = _Watch((self._files.fileno(),)) if self._changes_hands else self._files
        """What the files' own thread waits for."""

    def wait(self, timeout_s: float) -> set[int] | None:
        """For the files' own thread: those that are ready, none after this long, and the helm until `release`.

        None where another thread has the helm.
        """
        found = self._own.wait(timeout_s)
        if not self._held.acquire(blocking=False):
            return None
        return self._files.wait(0.0) if self._changes_hands else found

    def release(self) -> None:
        """The end of what `wait` began."""
        self._held.release()

    def take_over(self, *, patient: bool = False) -> bool:
        """For another thread: whether it has the helm from now on, to `poll` and in the end to `give_back`.

        Does not wait for whoever has it, unless it is `patient`.
        """
        if not self._changes_hands or not self._held.acquire(blocking=patient):
            return False
        self._own.remove(self._files.fileno())
        self.guest = threading.get_ident()
        return True

    def poll(self, timeout_s: float) -> set[int]:
        """For who has taken over: the files that are ready."""
        return self._files.wait(timeout_s)

    def give_back(self) -> None:
        """The files' own thread listens again; what has come meanwhile wakes it at once."""
        self.guest = None
        self._own.add(self._files.fileno())
        self._held.release()

    def close(self) -> None:
        """For the files' own thread: wait until no other has the helm, and let none have it any more."""
        self._held.acquire()
        self._own.close()
        self._files.close()
