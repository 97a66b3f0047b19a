"""What is under way: every request and job from its arrival to its terminal message, and who works on it.

The scheduler decides, the dispatcher carries out. It hands events to the scheduler, instructions to the desk that the
task came from, and messages of workers to the task that they are about. A task has two ends, and goes when it has
reached both: its client has the terminal message, and no worker touches its pixels any more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from impasto.core.errors import DeviceError, ImpastoError, InvalidRequest, ServerBusy, WorkerLost
from impasto.server.front.event_log import Journal
from impasto.server.front.outbox import Letter, Post, letter
from impasto.server.front.segments import Mapped
from impasto.server.front.sessions import Kept, Session
from impasto.server.front.workers import Supervisor
from impasto.server.protocol import worker_messages
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import Cancelled, ErrorFacts, Expired, Failed, FromServer, Queued, Slot, Terminal
from impasto.server.scheduler import events as plan
from impasto.server.scheduler.scheduler import Scheduler

QUEUED_WAITING: Final = 32
"""A client that has so many letters to read is not told its place in the queue as well."""
Ending: TypeAlias = (
    worker_messages.FramePainted | worker_messages.WorkFailed | worker_messages.WorkStopped | worker_messages.ShotEnded
)
Outcome: TypeAlias = Literal["done", "failed", "stopped"]


@dataclass(slots=True, eq=False, kw_only=True)
class Task:
    """A request or a job under way."""

    id: bytes
    session: Session
    digest: bytes
    """Of the header as it came, by which the same request is told from another one of the same id."""
    arrived_s: float
    label: str
    """Style and size, for the log."""
    device: str = ""
    """Which was asked for; empty: any."""
    worker: int | None = None
    """Who works on it now."""
    attempt: int = 0
    queued_s: float = 0.0
    ending: Ending | None = None
    """How the worker ended it."""
    settled: bool = False
    """The terminal message is on its way."""
    slot: Slot | None = None
    """The pair of the ring that it uses."""
    is_job: bool = False


class Desk(Protocol):
    """Where tasks of one kind come from: frames, or shots."""

    def start(self, task: Task) -> None:
        """Send the task to its worker."""

    def stop(self, task: Task) -> None:
        """Tell the worker to stop it; its ending is still awaited."""

    def answer(self, task: Task) -> None:
        """Settle the task with its worker's own ending."""

    def taken_back(self, task: Task, reason: plan.Reason) -> Cancelled:
        """The terminal message of a task that was cancelled."""

    def failed(self, task: Task, error: ErrorFacts) -> Failed:
        """The terminal message of a task that no worker answers."""

    def ended(self, task: Task, worker: int, outcome: Outcome) -> plan.Event:
        """What the scheduler is told when a worker ended the task."""

    def release(self, task: Task) -> None:
        """Nobody uses the task's memory any more."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks by what becomes of them now."""

    queued: int
    running: int


class Dispatch:
    """The tasks of a server. One owner, one thread."""

    def __init__(
        self, scheduler: Scheduler, crew: Supervisor, post: Post, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self.crew = crew
        self.journal = journal
        self._scheduler = scheduler
        self._post = post
        self._clock = clock
        self._tasks: dict[bytes, tuple[Task, Desk]] = {}
        self._events: deque[plan.Event] = deque()
        self._feeding = False
        self._shown: dict[int, set[int]] = {}
        self.ready: set[int] = set()
        """Workers that take tasks."""

    def __len__(self) -> int:
        return len(self._tasks)

    def task(self, id: bytes) -> Task | None:
        """The task of this id, while it is under way."""
        found = self._tasks.get(id)
        return found[0] if found else None

    def counts(self) -> Counts:
        """How many wait and how many run."""
        running = sum(task.worker is not None for task, _ in self._tasks.values())
        return Counts(len(self._tasks) - running, running)

    def is_idle(self, worker: int) -> bool:
        """Whether no task is with this worker."""
        return all(task.worker != worker for task, _ in self._tasks.values())

    def add(self, task: Task, desk: Desk) -> None:
        """Take a task that has been checked; the desk feeds the event that submits it."""
        self._tasks[task.id] = (task, desk)
        task.session.live.add(task.id)

    def feed(self, event: plan.Event) -> None:
        """Tell the scheduler and do what it says, and what follows from that."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                for instruction in self._scheduler.handle(self._events.popleft(), self._clock()):
                    try:
                        self._carry_out(instruction)
                    except Exception as error:  # noqa: BLE001  # one task's trouble is not the others'
                        self._give_up(instruction, error)
        finally:
            self._feeding = False

    def next_wake(self) -> float | None:
        """When a tick is due."""
        return self._scheduler.next_wake()

    def lost(self, worker: int) -> None:
        """A worker is dead: nobody writes into its slots any more."""
        self.ready.discard(worker)
        self._shown.pop(worker, None)
        orphans = [task for task, _ in self._tasks.values() if task.worker == worker]
        for task in orphans:
            task.worker = None
        self.feed(plan.WorkerLost(worker))
        for task in orphans:
            self._leave(task)

    def moved(self, ids: tuple[bytes, ...]) -> None:
        """Workers report that these tasks make progress."""
        for id in ids:
            if id in self._tasks:
                self._scheduler.progressed(id, self._clock())

    def end(self, worker: int, id: bytes, ending: Ending) -> None:
        """A worker ended a task. What a worker says about a task that is not its own is passed over."""
        found = self._tasks.get(id)
        if found is None or found[0].worker != worker:
            return
        task, desk = found
        task.ending, task.worker = ending, None
        outcome: Outcome = "done"
        if isinstance(ending, worker_messages.WorkFailed):
            outcome = "failed"
        elif isinstance(ending, worker_messages.WorkStopped):
            outcome = "stopped"
        self.feed(desk.ended(task, worker, outcome))
        self._leave(task)

    def show(self, worker: int, mapped: Mapped) -> None:
        """Make sure that a worker knows a segment. Raises ServerBusy where no file number is left to send it with."""
        shown = self._shown.setdefault(worker, set())
        if mapped.number in shown:
            return
        segment = mapped.segment
        if segment.fd >= 0:
            try:
                os.close(os.dup(segment.fd))
            except OSError as error:
                raise ServerBusy("expected a free file number, all are in use; close other clients, or wait") from error
        message = worker_messages.MapRing(mapped.number, segment.path, segment.segment_bytes)
        if self.crew.send(worker, message, segment.fd if segment.fd >= 0 else None):
            shown.add(mapped.number)

    def hide(self, mapped: Mapped) -> None:
        """No worker needs the segment any more."""
        for worker, shown in self._shown.items():
            if mapped.number in shown:
                shown.discard(mapped.number)
                self.crew.send(worker, worker_messages.DropRing(mapped.number))

    def settle(self, task: Task, terminal: Terminal, sealed: Letter | None = None, *, keep: bool = True) -> None:
        """Send the terminal message, as this letter where it bears pixels, and keep it for whoever asks again.

        What may succeed later is not kept, so that the client can ask again under the same id.
        """
        if task.settled:
            if sealed is not None and sealed.over is not None:
                sealed.over(None)
            return
        sealed = sealed or letter(terminal)  # what cannot be sent must not count as said
        task.settled = True
        now = self._clock()
        if keep and not (isinstance(terminal, Failed) and terminal.error.retryable):
            task.session.answers.keep(task.id, Kept(task.digest, terminal, now, task.slot))
        self.tell(task.session, terminal, sealed)
        self.journal.settled(task, terminal, now)
        self._leave(task)

    def tell(self, session: Session, message: FromServer, sealed: Letter | None = None) -> None:
        """Send a message over a session's data line."""
        if session.closed:
            if sealed is not None and sealed.over is not None:
                sealed.over(None)
            return
        self._post.put(session.data, sealed or letter(message))

    def _leave(self, task: Task) -> None:
        """Forget a task that has reached both its ends."""
        if task.settled and task.worker is None and task.id in self._tasks:
            _, desk = self._tasks.pop(task.id)
            task.session.live.discard(task.id)
            desk.release(task)

    def _carry_out(self, instruction: plan.Instruction) -> None:
        if isinstance(instruction, plan.GrantTurn):
            self.crew.send(instruction.worker, worker_messages.TurnGranted(instruction.job, instruction.turn))
            return
        if isinstance(instruction, plan.KillWorker):
            self.journal.telemetry.count("workers_hung")
            self.journal.note("warning", "worker_hung", worker=instruction.worker, silent_s=instruction.silent_s)
            self.crew.kill(instruction.worker, f"killed: a frame made no progress for {instruction.silent_s:.0f} s")
            return
        found = self._tasks.get(instruction.id)
        if found is None:
            return
        task, desk = found
        match instruction:
            case plan.StartFrame(worker=worker, queued_s=queued_s, attempt=attempt):
                task.worker, task.queued_s, task.attempt, task.ending = worker, queued_s, attempt, None
                desk.start(task)
            case plan.StartJob(worker=worker, attempt=attempt):
                task.worker, task.attempt, task.ending = worker, attempt, None
                desk.start(task)
            case plan.Stop():
                desk.stop(task)
            case plan.Wait(position=position):
                if len(task.session.data.waiting) < QUEUED_WAITING:
                    self.tell(task.session, Queued(task.id, position))
            case plan.Answer():
                desk.answer(task)
            case plan.Refuse(why=why, retry_after_s=retry_after_s):
                self._count_refusal(why)
                error = refusal_of(why, task)
                failed = desk.failed(task, facts_of(error, retry_after_s=retry_after_s))
                self.settle(task, failed, keep=why in ("lost", "quarantined"))
            case plan.Cancelled(reason=reason):
                self.settle(task, desk.taken_back(task, reason))
            case plan.Expired(late_s=late_s):
                self.settle(task, Expired(task.id, late_s))

    def _count_refusal(self, why: str) -> None:
        self.journal.telemetry.count("requests_quarantined" if why in ("lost", "quarantined") else "requests_refused")

    def _give_up(self, instruction: plan.Instruction, error: Exception) -> None:
        """Carrying out an instruction failed: the task that it was about ends with an error."""
        id = instruction.job if isinstance(instruction, plan.GrantTurn) else getattr(instruction, "id", b"")
        found = self._tasks.get(id)
        facts = self.journal.facts_of_any(error)
        if found is None:
            return
        task, desk = found
        if isinstance(instruction, plan.StartFrame | plan.StartJob) and task.worker is not None:
            self.end(task.worker, id, worker_messages.WorkFailed(id, facts))
        else:
            self.settle(task, desk.failed(task, facts))


def refusal_of(why: str, task: Task) -> ImpastoError:
    """Why a task is not taken, as the error that the client raises."""
    agreed = task.session.agreed
    refusals: dict[str, ImpastoError] = {
        "busy": ServerBusy("expected room in the server's queue, it is full; try again later"),
        "draining": ServerBusy("expected a server that stays, this one is shutting down; start another one"),
        "credit": InvalidRequest(
            f"expected at most {agreed.credit_frames} frames and {agreed.credit_bytes >> 20} MiB under way at once, "
            f"got more; wait for an answer before the next request"
        ),
        "quarantined": WorkerLost(
            "expected a worker to live through this request, but more than one died of it; it is not tried again for a "
            "while: try other settings, a smaller tile or a smaller picture"
        ),
        "lost": WorkerLost(
            "expected a worker to live through this request, but two died of it; try other settings, a smaller tile or "
            "a smaller picture, and see `impasto status` for how they died"
        ),
        "no_device": DeviceError(
            f"expected a device that the server works on, got '{task.device}'; see `impasto status` for those it has, "
            f"or name none"
        ),
    }
    return refusals[why]
