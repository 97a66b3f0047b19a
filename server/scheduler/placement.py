"""Which frame task starts on which worker, and which of the running ones hang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from impasto.server.protocol.field_types import Lane
from impasto.server.scheduler.durations import DurationMedians
from impasto.server.scheduler.fair_queue import BatchShare, FairQueue
from impasto.server.scheduler.workers import ScheduledFrame, Worker

HANG_MEDIANS: Final = 10.0
"""A task hangs after this many medians of its lane without progress."""
UNKNOWN_S: Final = 0.1
"""What a task is taken to last before one was seen."""


class Placement:
    """The workers, the tasks that they run, and the tasks that wait for them."""

    def __init__(self, batch_share: float, hang_floor_s: float) -> None:
        self._hang_floor_s = hang_floor_s
        self._workers: dict[int, Worker] = {}
        self._queues: dict[Lane, FairQueue] = {"interactive": FairQueue(), "batch": FairQueue()}
        self._share = BatchShare(batch_share)
        self._durations = DurationMedians()

    @property
    def workers(self) -> Mapping[int, Worker]:
        """Those that live, by number."""
        return self._workers

    @property
    def running(self) -> list[ScheduledFrame]:
        """The tasks that run now."""
        return [task for worker in self._workers.values() for task in worker.tasks.values()]

    @property
    def capacity(self) -> int:
        """How many tasks can run at once."""
        return sum(worker.depth for worker in self._workers.values())

    def pass_time(self, now: float) -> None:
        """Account for the time since the last call. Call it before anything else changes."""
        capacity = running = 0
        for worker in self._workers.values():
            capacity += worker.depth
            for task in worker.tasks.values():
                running += task.lane == "batch"
        self._share.pass_time(
            now,
            capacity=capacity,
            running=running,
            interactive_waits=len(self._queues["interactive"]) > 0,
            batch_waits=len(self._queues["batch"]) > 0,
        )

    def add_worker(self, worker: Worker) -> None:
        """A worker takes tasks from now on."""
        self._workers[worker.number] = worker

    def drop_worker(self, worker: Worker) -> None:
        """Forget a worker that is gone. Its tasks have been released before."""
        self.free_reserved(worker)
        del self._workers[worker.number]

    def wait(self, task: ScheduledFrame, *, first: bool = False) -> None:
        """Let a task wait, behind everything of its user or, with `first`, before it."""
        self._queues[task.lane].add(task, first=first)

    def replace(self, old: ScheduledFrame, new: ScheduledFrame) -> None:
        """Let a task wait in the place of another one of the same user, or behind, where it may not take that place."""
        if old.lane == new.lane and self._reserved_for(old) is None:
            self._queues[new.lane].replace(old, new)
        else:
            self.release(old)
            self.wait(new)

    def release(self, task: ScheduledFrame) -> None:
        """Take a task off its worker, or out of the queue."""
        room = self._reserved_for(task)
        if task.worker is not None:
            del self._workers[task.worker].tasks[task.order]
            task.worker = None
        elif room is not None:
            room.reserved = None
        else:
            self._queues[task.lane].remove(task)

    def took(self, task: ScheduledFrame, now: float) -> None:
        """Note how long a running task took that ends as it should."""
        self._durations.took(task.lane, now - task.started)

    def start(self, now: float) -> Iterator[tuple[ScheduledFrame, Worker]]:
        """Put tasks on workers while there is room for one that waits; yields each as it starts."""
        for worker in self._workers.values():
            if (task := worker.reserved) is not None and (idle := self._idle_for(task, worker)) is not None:
                worker.reserved = None
                yield self._start(task, idle, now)
        first, second = self._queues.values()
        while len(first) or len(second):
            free = [worker for worker in self._workers.values() if worker.takes_tasks]
            chosen = self._choose(free, now) if free else None
            if chosen is None:
                return
            task, worker = chosen
            if task.alone and worker.tasks:
                worker.reserved = task
            else:
                yield self._start(task, worker, now)

    def hung(self, now: float) -> Iterator[tuple[Worker, float]]:
        """Workers that made no progress on a task for too long, and for how long; each is reported once."""
        for worker in self._workers.values():
            if not worker.tasks or worker.hung is not None:
                continue
            hung = [task for task in worker.tasks.values() if self._hangs_at(task) <= now]
            if hung:
                worker.hung = frozenset(task.owner for task in hung)
                self.free_reserved(worker)
                yield worker, max(now - task.moved for task in hung)

    def next_hang(self) -> float | None:
        """When the first task that runs counts as hung, if it makes no progress."""
        times = [
            self._hangs_at(task)
            for worker in self._workers.values()
            if worker.tasks and worker.hung is None
            for task in worker.tasks.values()
        ]
        return min(times) if times else None

    def free_reserved(self, worker: Worker) -> None:
        """Let the task that this worker was reserved for wait for another worker."""
        task, worker.reserved = worker.reserved, None
        if task is not None:
            self.wait(task, first=True)

    def position_of(self, task: ScheduledFrame) -> int:
        """About the place in the lane's queue of the newest task of a user, from 1."""
        return max(1, self._queues[task.lane].position_of(task.user))

    def backlog_s(self) -> float:
        """For how long the workers have work, by their recent pace."""
        ahead = sum(len(queue) * (self._durations.median(lane) or UNKNOWN_S) for lane, queue in self._queues.items())
        return ahead / max(1, self.capacity)

    def rest(self) -> None:
        """Forget how much each user was served, when nothing waits or runs any more."""
        for queue in self._queues.values():
            queue.rest()

    def _choose(self, free: Sequence[Worker], now: float) -> tuple[ScheduledFrame, Worker] | None:
        first, second = self._queues["interactive"], self._queues["batch"]
        if first and second and self._share.is_owed(self._batch_ahead_s(now)):
            first, second = second, first
        return first.take(free, now) or second.take(free, now)

    def _batch_ahead_s(self, now: float) -> float:
        """How long the batch tasks that run will yet take."""
        usual = self._durations.median("batch") or 0.0
        return sum(max(0.0, usual - (now - task.started)) for task in self.running if task.lane == "batch")

    def _start(self, task: ScheduledFrame, worker: Worker, now: float) -> tuple[ScheduledFrame, Worker]:
        task.worker, task.started, task.moved = worker.number, now, now
        worker.tasks[task.order] = task
        worker.used(task.style)
        return task, worker

    def _hangs_at(self, task: ScheduledFrame) -> float:
        return task.moved + max(self._hang_floor_s, HANG_MEDIANS * (self._durations.median(task.lane) or 0.0))

    def _idle_for(self, task: ScheduledFrame, reserved: Worker) -> Worker | None:
        """A worker that runs nothing, for a task that has to run alone: the reserved one, or else any other."""
        others = (each for each in self._workers.values() if each.takes_tasks and task.target in each.targets)
        return next((each for each in (reserved, *others) if not each.tasks), None)

    def _reserved_for(self, task: ScheduledFrame) -> Worker | None:
        return next((worker for worker in self._workers.values() if worker.reserved is task), None)
