"""The jobs of one Nuke session: one for each node at a time, and one node at a time that writes plates."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import lru_cache
from typing import Callable, Iterator

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke.pipeline import WriteCancelled

POLL_S = 0.1
"""How often a wait checks for cancel."""


class JobHandle:
    """The job of one node, and whether it is to stop."""

    def __init__(self, identity: str, name: str) -> None:
        self.identity, self.name = identity, name
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._stop.set()

    def cancelled(self) -> bool:
        """Whether the job was asked to stop."""
        return self._stop.is_set()


class JobRunner:
    """Runs jobs on threads of their own and owns the lock for writing plates."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._jobs: dict[str, JobHandle] = {}

    def reserve(self, identity: str, name: str) -> JobHandle:
        """A handle for a new job of a node. BridgeError where one of the same node is under way."""
        with self._lock:
            if identity in self._jobs:
                raise BridgeError(f"expected {name} to be idle, it is being painted; wait, or press Cancel first")
            job = self._jobs[identity] = JobHandle(identity, name)
        return job

    def release(self, job: JobHandle) -> None:
        """Let the node have another job; nothing where it has one already."""
        with self._lock:
            if self._jobs.get(job.identity) is job:
                del self._jobs[job.identity]

    def start(self, job: JobHandle, work: Callable[[], None]) -> threading.Thread:
        """Do the work on a thread, and release the job at the end, also after an exception."""

        def run() -> None:
            try:
                work()
            finally:
                self.release(job)

        thread = threading.Thread(target=run, name=f"impasto {job.name}", daemon=True)
        thread.start()
        return thread

    @contextmanager
    def writing(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Hold the lock for writing plates. WriteCancelled where the wait for it is cancelled."""
        while not self._write_lock.acquire(timeout=POLL_S):
            if cancelled():
                raise WriteCancelled
        try:
            if cancelled():
                raise WriteCancelled
            yield
        finally:
            self._write_lock.release()

    def cancel(self, identity: str) -> bool:
        """Ask a node's job to stop; whether there is one."""
        with self._lock:
            job = self._jobs.get(identity)
        if job is not None:
            job.cancel()
        return job is not None

    def busy(self, identity: str) -> bool:
        """Whether a node's job is under way."""
        with self._lock:
            return identity in self._jobs


@lru_cache(maxsize=None)
def job_runner() -> JobRunner:
    """The job runner of this session."""
    return JobRunner()
