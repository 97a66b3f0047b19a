"""Which turn starts on which worker, and which of those that run hang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from impasto.server.protocol.messages import Lane
from impasto.server.scheduler.durations import Pace
from impasto.server.scheduler.fair_queue import BatchShare, FairQueue
from impasto.server.scheduler.workers import Turn, Worker

HANG_MEDIANS: Final = 10.0
"""A turn hangs after this many medians of its lane without progress."""
UNKNOWN_S: Final = 0.1
"""What a turn is taken to last before one was seen."""


class Floor:
    """The workers, the turns that they run, and the turns that wait for them."""

    def __init__(self, batch_share: float, hang_floor_s: float) -> None:
        self._hang_floor_s = hang_floor_s
        self._workers: dict[int, Worker] = {}
        self._queues: dict[Lane, FairQueue] = {"interactive": FairQueue(), "batch": FairQueue()}
        self._share = BatchShare(batch_share)
        self._pace = Pace()

    @property
    def workers(self) -> Mapping[int, Worker]:
        """Those that live, by number."""
        return self._workers

    @property
    def running(self) -> list[Turn]:
        """The turns that run now."""
        return [turn for worker in self._workers.values() for turn in worker.turns.values()]

    @property
    def slots(self) -> int:
        """How many turns can run at once."""
        return sum(worker.depth for worker in self._workers.values())

    def pass_time(self, now: float) -> None:
        """Account for the time since the last call; to be called before anything else changes."""
        slots = running = 0
        for worker in self._workers.values():
            slots += worker.depth
            for turn in worker.turns.values():
                running += turn.lane == "batch"
        self._share.pass_time(
            now,
            slots=slots,
            running=running,
            contested=len(self._queues["interactive"]) > 0,
            waits=len(self._queues["batch"]) > 0,
        )

    def add_worker(self, worker: Worker) -> None:
        """A worker takes turns from now on."""
        self._workers[worker.number] = worker

    def drop_worker(self, worker: Worker) -> None:
        """A worker is gone; its turns were let go before."""
        self.free_reserved(worker)
        del self._workers[worker.number]

    def wait(self, turn: Turn, *, first: bool = False) -> None:
        """Let a turn wait, behind everything of its user or, with `first`, before it."""
        self._queues[turn.lane].add(turn, first=first)

    def replace(self, old: Turn, new: Turn) -> None:
        """Let a turn wait where another one of the same user did, as far as it may."""
        if old.lane == new.lane and self._reserved_for(old) is None:
            self._queues[new.lane].replace(old, new)
        else:
            self.let_go(old)
            self.wait(new)

    def let_go(self, turn: Turn) -> None:
        """Take a turn off its worker, or out of the queue."""
        room = self._reserved_for(turn)
        if turn.worker is not None:
            del self._workers[turn.worker].turns[turn.order]
            turn.worker = None
        elif room is not None:
            room.reserved = None
        else:
            self._queues[turn.lane].remove(turn)

    def took(self, turn: Turn, now: float) -> None:
        """A running turn comes to its end, as it should."""
        self._pace.took(turn.lane, now - turn.started)

    def start(self, now: float) -> Iterator[tuple[Turn, Worker]]:
        """Put turns on workers for as long as one that waits has room; each is told as it starts."""
        for worker in self._workers.values():
            if worker.reserved is not None and not worker.turns:
                turn, worker.reserved = worker.reserved, None
                yield self._start(turn, worker, now)
        first, second = self._queues.values()
        while len(first) or len(second):
            free = [worker for worker in self._workers.values() if worker.takes_turns]
            chosen = self._choose(free, now) if free else None
            if chosen is None:
                return
            turn, worker = chosen
            if turn.alone and worker.turns:
                worker.reserved = turn
            else:
                yield self._start(turn, worker, now)

    def hung(self, now: float) -> Iterator[tuple[Worker, float]]:
        """Workers that made no progress on a turn for too long, and for how long; each is told once."""
        for worker in self._workers.values():
            if not worker.turns or worker.hung is not None:
                continue
            hung = [turn for turn in worker.turns.values() if self._hangs_at(turn) <= now]
            if hung:
                worker.hung = frozenset(turn.owner for turn in hung)
                self.free_reserved(worker)
                yield worker, max(now - turn.moved for turn in hung)

    def next_hang(self) -> float | None:
        """When the first turn that runs is taken as hung, if nothing is heard of it."""
        times = [
            self._hangs_at(turn)
            for worker in self._workers.values()
            if worker.turns and worker.hung is None
            for turn in worker.turns.values()
        ]
        return min(times) if times else None

    def free_reserved(self, worker: Worker) -> None:
        """Let the turn that this worker was kept for wait for another one."""
        turn, worker.reserved = worker.reserved, None
        if turn is not None:
            self.wait(turn, first=True)

    def place_of(self, turn: Turn) -> int:
        """About at which place of its lane the newest turn of a user waits, from 1."""
        return max(1, self._queues[turn.lane].place_of(turn.user))

    def backlog_s(self) -> float:
        """How long the workers have work for, by the recent pace."""
        ahead = sum(len(queue) * (self._pace.median(lane) or UNKNOWN_S) for lane, queue in self._queues.items())
        return ahead / max(1, self.slots)

    def rest(self) -> None:
        """Forget who was served how much, when nothing waits or runs any more."""
        for queue in self._queues.values():
            queue.rest()

    def _choose(self, free: Sequence[Worker], now: float) -> tuple[Turn, Worker] | None:
        first, second = self._queues["interactive"], self._queues["batch"]
        if first and second and self._share.is_owed(self._batch_ahead_s(now)):
            first, second = second, first
        return first.take(free, now) or second.take(free, now)

    def _batch_ahead_s(self, now: float) -> float:
        """How long the batch turns that run will yet take."""
        usual = self._pace.median("batch") or 0.0
        return sum(max(0.0, usual - (now - turn.started)) for turn in self.running if turn.lane == "batch")

    def _start(self, turn: Turn, worker: Worker, now: float) -> tuple[Turn, Worker]:
        turn.worker, turn.started, turn.moved = worker.number, now, now
        worker.turns[turn.order] = turn
        worker.used(turn.style)
        return turn, worker

    def _hangs_at(self, turn: Turn) -> float:
        return turn.moved + max(self._hang_floor_s, HANG_MEDIANS * (self._pace.median(turn.lane) or 0.0))

    def _reserved_for(self, turn: Turn) -> Worker | None:
        return next((worker for worker in self._workers.values() if worker.reserved is turn), None)
