"""Files to wait for, and who does: a thread of their own, or for a while another one that is to act on them anyway.

A client that waits for an answer and reads it itself, a worker that paints in the thread that was told to: either is
spared the change from one thread to another, which takes longer than the message. The files change hands inside the
kernel (an epoll set within another), so that the thread which waits for them is not woken by it. Where the system has
no epoll their own thread listens always.
"""

from __future__ import annotations

import contextlib
import select
import selectors
import sys
import threading
from collections.abc import Iterable
from typing import Final

LOOK_S: Final = 0.1
"""How often who waits for the helm looks whether it is free, should nobody have said so: Ctrl-C comes anywhere."""
_CLOSED: Final = -1


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
        self._turn = threading.Lock()
        """Guards `holder`. A lock as such, because Ctrl-C cannot come between having it and the block that has it."""
        self._came_free = threading.Condition(self._turn)
        self.holder: int | None = None
        """The thread that has the helm."""
        self._files = _Watch(files)
        self._changes_hands = sys.platform == "linux"
        self._own = _Watch((self._files.fileno(),)) if self._changes_hands else self._files
        """What the files' own thread waits for. Empty while another thread has the helm."""

    def wait(self, timeout_s: float) -> set[int] | None:
        """For the files' own thread: those that are ready, none after this long, and the helm until `release`.

        None where another thread has the helm.
        """
        found = self._own.wait(timeout_s)
        with self._turn:
            if self.holder is not None:
                return None
            self.holder = threading.get_ident()
        return self._files.wait(0.0) if self._changes_hands else found

    def release(self) -> None:
        """The end of what `wait` began."""
        with self._turn:
            self.holder = None
            self._came_free.notify_all()

    def take_over(self, *, patient: bool = False) -> bool:
        """For another thread: whether it has the helm from now on, to `poll` and in the end to `give_back`.

        Does not wait for whoever has it, unless it is `patient`. An exception, Ctrl-C for instance, leaves open whether
        it has.
        """
        if not self._changes_hands:
            return False
        with self._turn:
            while self.holder is not None:
                if not patient or self.holder == _CLOSED:
                    return False
                self._came_free.wait(LOOK_S)
            self.holder = threading.get_ident()  # before anything else, so that `give_back` undoes the rest
            self._own.remove(self._files.fileno())
        return True

    def poll(self, timeout_s: float) -> set[int]:
        """For who has taken over: the files that are ready."""
        return self._files.wait(timeout_s)

    def give_back(self) -> None:
        """The files' own thread listens again; what has come meanwhile wakes it at once.

        Nothing happens where this thread has not taken over, so that it may be called twice, in case that Ctrl-C comes
        in the middle of the first call.
        """
        if self.holder != threading.get_ident():
            return
        with contextlib.suppress(FileExistsError):
            self._own.add(self._files.fileno())
        self.release()

    def close(self) -> None:
        """For the files' own thread: wait until no other has the helm, and let none have it any more."""
        with self._turn:
            while self.holder is not None:
                self._came_free.wait(LOOK_S)
            self.holder = _CLOSED
        self._own.close()
        self._files.close()
