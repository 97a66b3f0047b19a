"""The shot jobs that wait for a worker, and how many of each user are open on one.

A job holds readers, writers and frames in memory, so a worker has few jobs open at once. Jobs are long and cannot be
put aside. Therefore a worker opens one more than usual for a user who has none open, so that nobody waits for another's
whole shot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from impasto.server.scheduler.credit import Work
from impasto.server.scheduler.workers import Worker

JOBS: Final = 2
"""Jobs that a worker has open at once."""
MOST_JOBS: Final = 8
"""The same, with those that are the only ones of their users."""


class JobQueue:
    """The jobs that wait, by user and device, and how many each user has open."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str], OrderedDict[int, Work]] = {}
        self._open: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def waiting_of(self, user: str) -> int:
        """Jobs of this user that wait."""
        return sum(len(queue) for (owner, _), queue in self._queues.items() if owner == user)

    def add(self, work: Work, *, first: bool = False) -> None:
        """Let a job wait, behind everything of its user or, with `first`, before it."""
        queue = self._queues.setdefault((work.credit.user, work.asked.device), OrderedDict())
        queue[work.order] = work
        if first:
            queue.move_to_end(work.order, last=False)
        self._length += 1

    def remove(self, work: Work) -> None:
        """Take out a job that waits."""
        key = work.credit.user, work.asked.device
        del self._queues[key][work.order]
        if not self._queues[key]:
            del self._queues[key]
        self._length -= 1

    def take(self, workers: Collection[Worker]) -> tuple[Work, Worker] | None:
        """Take out the next job that a worker has room for: of the user with the fewest open jobs, the oldest."""
        if not self._length:
            return None
        rooms = [worker for worker in workers if worker.takes_jobs and len(worker.jobs) < MOST_JOBS]
        if not rooms:
            return None
        heads = [next(iter(queue.values())) for queue in self._queues.values()]
        for work in sorted(heads, key=lambda work: (self._open.get(work.credit.user, 0), work.order)):
            user = work.credit.user
            most = JOBS if user in self._open else MOST_JOBS
            fitting = [room for room in rooms if len(room.jobs) < most and work.asked.device in room.targets]
            if not fitting:
                continue
            self.remove(work)
            self._open[user] = self._open.get(user, 0) + 1
            style = work.asked.style
            return work, min(fitting, key=lambda room: (len(room.jobs), style not in room.warm, room.number))
        return None

    def leave(self, user: str) -> None:
        """A job of this user is open no more."""
        self._open[user] -= 1
        if not self._open[user]:
            del self._open[user]
