"""Which frame task is next: fair among users by megapixels, first come first served within one, and a share for batch.

Fairness is start-time fair queueing (Goyal, Vin and Cheng 1996). Each user has a tag that grows with the
megapixels painted for them. Of the users who wait, the one with the lowest tag is next. Two users who always wait
differ by at most one frame of each, however many sessions they have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from impasto.server.scheduler.workers import ScheduledFrame, Target, Worker

LEAST_MEGAPIXELS: Final = 0.05
"""What a task costs at least: a small frame takes a worker's time too."""
CATCH_UP: Final = 64.0
"""Megapixels that a user whose device was busy can catch up on later; what they lag behind beyond that is lost."""
STREAK_TASKS: Final = 16
STREAK_S: Final = 2.0
"""Tasks of the style that a worker ran last may overtake an older task of another style of the same user: at most so
many, for at most so long."""
SWEEP: Final = 64
"""So many tags of users who do not wait are kept before those that no longer count are dropped."""

WINDOW_S: Final = 10.0
"""The time over which batch gets its share."""
GRACE_S: Final = 1.0
"""How long batch waits at most to make up for what it ran while no interactive task waited."""


@dataclass(slots=True)
class _Streak:
    style: str
    since: float
    overtaken: int = 0


class _Backlog:
    """The tasks of one user that wait in one lane, oldest first, by target, and by target and style."""

    def __init__(self) -> None:
        self._queues: dict[tuple[Target, str | None], OrderedDict[int, ScheduledFrame]] = {}
        self._streaks: dict[int, _Streak] = {}
        self.length = 0

    def add(self, task: ScheduledFrame, *, first: bool) -> None:
        for key in ((task.target, None), (task.target, task.style)):
            queue = self._queues.setdefault(key, OrderedDict())
            queue[task.order] = task
            if first:
                queue.move_to_end(task.order, last=False)
        self.length += 1

    def remove(self, task: ScheduledFrame) -> None:
        for key in ((task.target, None), (task.target, task.style)):
            queue = self._queues[key]
            del queue[task.order]
            if not queue:
                del self._queues[key]
        self.length -= 1

    def replace(self, old: ScheduledFrame, new: ScheduledFrame) -> None:
        new.order = old.order
        self._queues[old.target, None][new.order] = new
        if old.style == new.style:
            self._queues[old.target, old.style][new.order] = new
            return
        queue = self._queues[old.target, old.style]
        del queue[old.order]
        if not queue:
            del self._queues[old.target, old.style]
        self._queues.setdefault((new.target, new.style), OrderedDict())[new.order] = new

    def choose(self, free: Sequence[Worker], now: float) -> tuple[ScheduledFrame, Worker] | None:
        """The next task that one of these workers can run, and that worker. The task stays in its queue."""
        targets = free[0].targets if len(free) == 1 else {target for worker in free for target in worker.targets}
        oldest = self._oldest(targets)
        if oldest is None:
            return None
        for worker in free:
            streak = self._streaks.get(worker.number)
            if streak is None or streak.style == oldest.style:
                continue
            if streak.overtaken < STREAK_TASKS and now - streak.since < STREAK_S:
                same = self._oldest(worker.targets, streak.style)
                if same is not None:
                    streak.overtaken += 1
                    return same, worker
        worker = min(
            (worker for worker in free if oldest.target in worker.targets),
            key=lambda worker: (
                oldest.alone and bool(worker.tasks),
                oldest.style not in worker.warm,
                len(worker.tasks),
                worker.number,
            ),
        )
        self._streaks[worker.number] = _Streak(oldest.style, now)
        return oldest, worker

    def _oldest(self, targets: Iterable[Target], style: str | None = None) -> ScheduledFrame | None:
        oldest: ScheduledFrame | None = None
        for target in targets:
            queue = self._queues.get((target, style))
            if queue and ((head := next(iter(queue.values()))) is not oldest):
                oldest = head if oldest is None or head.order < oldest.order else oldest
        return oldest


class FairQueue:
    """The tasks that wait in one lane."""

    def __init__(self) -> None:
        self._backlogs: OrderedDict[str, _Backlog] = OrderedDict()
        self._tags: dict[str, float] = {}
        self._clock = 0.0
        """The tag of the user that was served last: where newcomers begin."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, task: ScheduledFrame, *, first: bool = False) -> None:
        """Let a task wait, behind everything of its user or, with `first`, before it.

        A task that goes first was started before: its user is not charged twice.
        """
        backlog = self._backlogs.get(task.user)
        if backlog is None:
            backlog = self._backlogs[task.user] = _Backlog()
            self._tags[task.user] = max(self._tags.get(task.user, 0.0), self._clock)
        if first:
            self._tags[task.user] -= _cost(task)
            self._backlogs.move_to_end(task.user, last=False)
        backlog.add(task, first=first)
        self._length += 1

    def remove(self, task: ScheduledFrame) -> None:
        """Take a task out that waits here; KeyError if it does not."""
        backlog = self._backlogs[task.user]
        backlog.remove(task)
        self._length -= 1
        if not backlog.length:
            del self._backlogs[task.user]

    def replace(self, old: ScheduledFrame, new: ScheduledFrame) -> None:
        """Let a task take the place in the queue of one of the same user that waits.

        So a viewer that scrubs faster than frames are painted still gets frames. Where the targets of the two differ,
        the new task waits behind the others.
        """
        if old.target == new.target:
            self._backlogs[old.user].replace(old, new)
        else:
            self.remove(old)
            self.add(new)

    def position_of(self, user: str) -> int:
        """About how many tasks start before the newest of this user, itself included."""
        backlog = self._backlogs.get(user)
        return min(self._length, backlog.length * len(self._backlogs)) if backlog else 0

    def take(self, free: Sequence[Worker], now: float) -> tuple[ScheduledFrame, Worker] | None:
        """Take out the next task that one of these workers can run; None if no waiting task can run there."""
        for user in sorted(self._backlogs, key=self._tags.__getitem__):
            chosen = self._backlogs[user].choose(free, now)
            if chosen is None:
                continue
            task = chosen[0]
            tag = max(self._tags[user], self._clock - CATCH_UP)
            self._clock = max(self._clock, tag)
            self._tags[user] = tag + _cost(task)
            self.remove(task)
            self._sweep()
            return chosen
        return None

    def rest(self) -> None:
        """Forget how much each user was served. Called when nothing waits or runs any more."""
        self._tags.clear()
        self._clock = 0.0

    def _sweep(self) -> None:
        if len(self._tags) > len(self._backlogs) + SWEEP:
            self._tags = {user: tag for user, tag in self._tags.items() if user in self._backlogs or tag > self._clock}


class BatchShare:
    """Whether batch has had less than its share of the workers' time.

    It keeps a balance in seconds of tasks. While batch waits, the balance grows by batch's share of the time of all
    workers. While batch tasks run, it falls by their time. Time that they ran while no interactive task waited leaves a
    debt of at most `GRACE_S`, so that hours of batch alone do not keep it from its share afterwards. The rate is a
    little above the share, to make up for that debt. Over any `WINDOW_S` batch gets its share, to within one task.
    """

    def __init__(self, share: float) -> None:
        self._rate = min(1.0, share / (1.0 - GRACE_S / WINDOW_S))
        self._balance = 0.0
        self._now = 0.0

    def pass_time(self, now: float, *, capacity: int, running: int, interactive_waits: bool, batch_waits: bool) -> None:
        """Account for the time since the last call, during which all of this held.

        `capacity` is the number of tasks that can run at once, `running` the number of batch tasks that ran. The last
        two say whether tasks of these lanes waited.
        """
        span, self._now = now - self._now, now
        earning = self._rate * capacity
        balance = self._balance + (earning - running) * span
        if running:
            floor = -earning * (WINDOW_S if interactive_waits else GRACE_S)
            balance = max(balance, min(floor, self._balance))
        self._balance = min(balance, earning * WINDOW_S if batch_waits else 0.0)

    def is_owed(self, ahead_s: float) -> bool:
        """Whether batch goes first. Its tasks that run will take another `ahead_s` seconds, which count as had."""
        return self._balance > ahead_s


def _cost(task: ScheduledFrame) -> float:
    return max(task.megapixels, LEAST_MEGAPIXELS)
