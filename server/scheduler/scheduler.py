"""The scheduler of the server, as a state machine: events in, instructions out.

It has no socket, thread or clock. Every event carries the time at which it happened, in seconds of one monotonic clock;
`next_wake` says when a `Tick` is due although nothing else happens. The front carries the instructions out.

States of a piece of work (`credit.Work`), and what moves it from one to the next:

| state      | kept as                             | event -> instruction -> next state                               |
|------------|-------------------------------------|------------------------------------------------------------------|
| (new)      |                                     | FrameSubmitted, JobSubmitted -> Wait -> waiting                  |
|            |                                     | refused: no credit, room, device; draining; banned -> Refuse     |
| waiting    | frame: in `fair_queue`              | a worker has room -> StartFrame -> running                       |
|            | job: in `job_queue`                 | a worker has room for a job -> StartJob -> running               |
|            | `worker` None                       | newer request of the viewer -> AnswerCancelled                   |
|            |                                     | CancelAsked, SessionClosed, Draining at once -> AnswerCancelled  |
|            |                                     | deadline -> AnswerExpired; its digest is banned -> Refuse        |
| running    | `worker` set, `ending` None         | WorkEnded done or failed -> ForwardAnswer                        |
|            | job: TurnWanted -> GrantTurn ->     | CancelAsked, SessionClosed, deadline -> Stop -> stopping         |
|            | TurnEnded for each of its frames    | WorkerExited -> waiting, before all others; second time -> Refuse|
| stopping   | `worker` set, `ending` says why     | WorkEnded stopped -> AnswerCancelled, AnswerExpired              |
|            |                                     | ended before it could be stopped -> ForwardAnswer                |
|            |                                     | WorkerExited -> AnswerCancelled, AnswerExpired                   |

ForwardAnswer, Refuse, AnswerCancelled and AnswerExpired are terminal: each piece of work gets exactly one of them.

The rules, and where they are kept:

- Interactive tasks go before batch tasks, but batch keeps its share. Users of a lane are served alike, by megapixels.
  Of one user the oldest task goes first (`fair_queue`). A task runs where its style is warm, if there is room there
  (`placement`).
- A newer request of a viewer takes the place of the one that waits. One that runs is finished, because it is nearly
  done and worth showing; if its worker dies it is not tried again.
- Work that was told to stop stays until its worker says that it ended, so that nobody writes where the client may write
  again: `Stop`, then the worker's end, then the terminal message. A result that came before the stop is the answer; a
  result after the deadline is not.
- When a worker dies, what it painted is tried once more, alone on its worker, so that a second death has one cause.
  Jobs that were open there are blamed too, unless the cause is known: a frame that ran alone, or hung. Work that is not
  blamed is started again at no cost. A digest that is blamed twice is banned for a while (`quarantine`).
- Only frame tasks are watched for hangs. A job that reads from a camera or a slow disk may take its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from impasto.server.protocol.limits import Limits
from impasto.server.scheduler.credit import EndReason, SessionCredit, Work, credit_of
from impasto.server.scheduler.deadlines import Deadlines
from impasto.server.scheduler.devices import DEVICE_WAIT_S, KnownDevices
from impasto.server.scheduler.events import (
    AnswerCancelled,
    AnswerExpired,
    CancelAsked,
    Draining,
    ForwardAnswer,
    FrameSubmitted,
    GrantTurn,
    Instruction,
    JobProgressed,
    JobSubmitted,
    KillWorker,
    RefusalReason,
    Refuse,
    SchedulerEvent,
    SessionClosed,
    SessionOpened,
    StartFrame,
    StartJob,
    Stop,
    Tick,
    TurnEnded,
    TurnWanted,
    Wait,
    WorkEnded,
    WorkerExited,
    WorkerReady,
)
from impasto.server.scheduler.job_queue import JobQueue
from impasto.server.scheduler.placement import Placement
from impasto.server.scheduler.quarantine import DEATHS, Quarantine
from impasto.server.scheduler.workers import ScheduledFrame, Worker

SOONEST_S: Final = 0.1
LATEST_S: Final = 30.0
"""The shortest and the longest time after which a client is told to try again."""


class Scheduler:
    """The queue of a server and what its workers are doing."""

    def __init__(self, limits: Limits, devices: Sequence[str]) -> None:
        """`devices` are those of the settings; with 'auto' among them, others may be found later."""
        self._limits = limits
        self._devices = KnownDevices(devices)
        self._sessions: dict[bytes, SessionCredit] = {}
        self._works: dict[bytes, Work] = {}
        self._placement = Placement(limits.batch_share, limits.hang_floor_s)
        self._waiting_frames = 0
        self._waiting_bytes = 0
        self._job_queue = JobQueue()
        self._quarantine = Quarantine()
        self._deadlines = Deadlines(self._is_pending)
        self._draining = False
        self._order = 0
        self._now = 0.0
        self._instructions: list[Instruction] = []

    def handle(self, event: SchedulerEvent, now: float) -> list[Instruction]:
        """Take an event and return what is to be done, in order. `now` never runs backwards.

        Raises ValueError for an event that contradicts an earlier one: an id, a session or a worker that is there
        already, or a request of a session that is not open. What comes too late to matter is ignored.
        """
        now = self._now = max(self._now, now)
        self._placement.pass_time(now)
        self._take(event, now)
        self._end_overdue(now)
        for worker, silent_s in self._placement.hung(now):
            self._instructions.append(KillWorker(worker.number, silent_s))
        self._quarantine.forget(now)
        self._start_tasks(now)
        self._start_jobs()
        self._report_position(event)
        if not self._works:
            self._placement.rest()
        instructions, self._instructions = self._instructions, []
        return instructions

    def progressed(self, id: bytes, now: float) -> None:
        """A worker reports progress of this request or job: a tile painted, a frame read, a style loaded."""
        work = self._works.get(id)
        if work is not None:
            for task in work.tasks.values():
                task.moved = max(task.moved, now)

    def next_wake(self) -> float | None:
        """When a `Tick` is due: a deadline, a hang, the end of a quarantine; None for never."""
        times = (self._deadlines.next(), self._quarantine.next_end(), self._placement.next_hang())
        return min([time for time in times if time is not None], default=None)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._works

    def _take(self, event: SchedulerEvent, now: float) -> None:
        _HANDLERS[type(event)](self, event, now)

    def _cancel(self, event: CancelAsked, now: float) -> None:
        work = self._works.get(event.id)
        if work is not None and work.session == event.session:
            self._end(work, "asked", now)

    def _open(self, event: SessionOpened, now: float) -> None:
        if event.session in self._sessions:
            raise ValueError(f"session {event.session.hex()} is open already; close it first")
        self._sessions[event.session] = credit_of(event.session, event.user, event.lane, self._limits)

    def _close(self, event: SessionClosed, now: float) -> None:
        credit = self._sessions.get(event.session)
        if credit is None:
            return
        credit.is_open = False
        for work in list(credit.works.values()):
            self._end(work, "session", now)
        if not credit.works:
            self._sessions.pop(event.session, None)

    def _submit_frame(self, event: FrameSubmitted, now: float) -> None:
        credit = self._session_of(event)
        newest = credit.newest_of(event.viewer) if event.viewer else None
        old = newest if newest is not None and newest.worker is None and newest.id in credit.works else None
        why = self._objection(event)
        if why is None and not credit.has_credit(event, old):
            why = "credit"
        if why is None and not self._has_room(event, old):
            why = "busy"
        if why is not None:
            self._refuse(event, why, now)
            return
        work = Work(event, credit, self._next(), now)
        task = self._task_of(work, 0, event.megapixels, event.device, now)
        work.tasks[0] = task
        if old is not None:
            self._supersede(old, task)
        else:
            self._placement.wait(task)
        self._waiting_frames += 1
        self._waiting_bytes += work.bytes
        self._enter(work)

    def _submit_job(self, event: JobSubmitted, now: float) -> None:
        credit = self._session_of(event)
        why = self._objection(event)
        # A half, so that no user fills the queue of jobs alone.
        half = max(1, self._limits.queued_requests // 2)
        if why is None and (
            len(self._job_queue) >= self._limits.queued_requests or self._job_queue.waiting_of(credit.user) >= half
        ):
            why = "busy"
        if why is not None:
            self._refuse(event, why, now)
            return
        work = Work(event, credit, self._next(), now)
        self._job_queue.add(work)
        self._enter(work)

    def _add_worker(self, event: WorkerReady, now: float) -> None:
        if event.worker in self._placement.workers:
            raise ValueError(f"worker {event.worker} is ready already; a new worker needs a new number")
        self._placement.add_worker(Worker(event.worker, event.device, max(1, event.depth)))
        self._devices.add(event.device)
        if event.devices is not None and self._devices.end_search(event.devices):
            for work in list(self._works.values()):
                if work.worker is None and work.ending is None and not self._devices.may_have(work.asked.device):
                    self._withdraw(work)
                    self._leave(work, Refuse(work.id, work.session, "no_device"))

    def _want_turn(self, event: TurnWanted, now: float) -> None:
        work = self._works.get(event.job)
        if work is None or not isinstance(work.asked, JobSubmitted):
            return
        if work.worker is None or work.ending is not None or event.number in work.tasks:
            return
        task = self._task_of(work, event.number, event.megapixels, work.worker, now)
        work.tasks[event.number] = task
        self._placement.wait(task)

    def _end_turn(self, event: TurnEnded, now: float) -> None:
        work = self._works.get(event.job)
        task = work.tasks.get(event.number) if work is not None else None
        if work is None or task is None or not isinstance(work.asked, JobSubmitted):
            return
        if task.worker is not None and work.ending is None:
            self._placement.took(task, now)
        self._release(task, work)

    def _end_work(self, event: WorkEnded, now: float) -> None:
        work = self._works.get(event.id)
        # An answer to work that the worker does not have, or has no longer, changes nothing.
        if work is None or work.worker != event.worker:
            return
        if event.outcome != "stopped":
            self._quarantine.clear(work.asked.digest)
        if event.outcome == "done" and isinstance(work.asked, FrameSubmitted):
            self._placement.took(work.tasks[0], now)
        self._release_all(work)
        if event.outcome == "stopped" or work.ending == "deadline":
            self._conclude(work, work.ending or "asked", now)
        else:
            self._leave(work, ForwardAnswer(work.id, work.session))

    def _progress(self, event: JobProgressed, now: float) -> None:
        work = self._works.get(event.id)
        if work is None or work.worker is None:
            return
        work.deaths = 0
        self._quarantine.clear(work.asked.digest)
        for task in work.tasks.values():
            task.alone = False

    def _drain(self, event: Draining, now: float) -> None:
        self._draining = True
        for work in list(self._works.values()) if event.at_once else ():
            self._end(work, "shutdown", now)

    def _session_of(self, event: FrameSubmitted | JobSubmitted) -> SessionCredit:
        if event.id in self._works:
            raise ValueError(f"request {event.id.hex()} is under way already; attach to it instead")
        credit = self._sessions.get(event.session)
        if credit is None or not credit.is_open:
            raise ValueError(f"session {event.session.hex()} is not open; open it before it asks for work")
        return credit

    def _objection(self, event: FrameSubmitted | JobSubmitted) -> RefusalReason | None:
        if self._draining:
            return "draining"
        if self._quarantine.banned_s(event.digest, self._now):
            return "quarantined"
        if not self._devices.may_have(event.device):
            return "no_device"
        return None

    def _has_room(self, event: FrameSubmitted, returned: Work | None) -> bool:
        frames = self._waiting_frames - (returned is not None)
        held = self._waiting_bytes - (returned.bytes if returned is not None else 0)
        return frames < self._limits.queued_requests and held + event.bytes <= self._limits.queued_bytes

    def _refuse(self, event: FrameSubmitted | JobSubmitted, why: RefusalReason, now: float) -> None:
        after = 0.0
        if why == "busy":
            # The time for a quarter of the frames that wait. How long jobs take is not known.
            soon = self._placement.backlog_s() / 4 if isinstance(event, FrameSubmitted) else LATEST_S
            after = min(max(soon, SOONEST_S), LATEST_S)
        elif why == "quarantined":
            after = self._quarantine.banned_s(event.digest, now)
        self._instructions.append(Refuse(event.id, event.session, why, after))

    def _enter(self, work: Work) -> None:
        self._works[work.id] = work
        work.credit.enter(work)
        if work.deadline is not None:
            self._deadlines.set(work.deadline, work.id, work.order)
        if not self._devices.has(work.asked.device):
            self._deadlines.set(work.since + DEVICE_WAIT_S, work.id, work.order)

    def _task_of(self, work: Work, number: int, megapixels: float, target: str | int, now: float) -> ScheduledFrame:
        asked = work.asked
        return ScheduledFrame(
            owner=work.id,
            number=number,
            user=work.credit.user,
            lane=asked.lane,
            style=asked.style,
            target=target,
            megapixels=megapixels,
            order=self._next(),
            since=now,
            alone=self._needs_isolation(work),
        )

    def _needs_isolation(self, work: Work) -> bool:
        return work.deaths > 0 or self._quarantine.has_deaths(work.asked.digest)

    def _next(self) -> int:
        self._order += 1
        return self._order

    def _supersede(self, old: Work, task: ScheduledFrame) -> None:
        """Cancel a request that waits, and let this task take its place."""
        self._placement.replace(old.tasks.pop(0), task)
        self._stop_waiting(old)
        self._leave(old, AnswerCancelled(old.id, old.session, "superseded"))

    def _end(self, work: Work, why: EndReason, now: float) -> None:
        """Drop work that waits; tell the worker once to stop work that runs."""
        if work.ending is not None:
            return
        if work.worker is None:
            self._withdraw(work)
            self._conclude(work, why, now)
            return
        work.ending = why
        self._instructions.append(Stop(work.id, work.worker))
        for task in list(work.tasks.values()):
            if task.worker is None:
                self._release(task, work)

    def _conclude(self, work: Work, why: EndReason, now: float) -> None:
        """Answer work that was told to end with the reason."""
        if why == "deadline":
            self._leave(work, AnswerExpired(work.id, work.session, max(0.0, now - (work.deadline or now))))
        else:
            self._leave(work, AnswerCancelled(work.id, work.session, why))

    def _leave(self, work: Work, terminal: ForwardAnswer | Refuse | AnswerCancelled | AnswerExpired) -> None:
        """Forget work that is over, and give its credit back."""
        del self._works[work.id]
        credit = work.credit
        credit.leave(work)
        if not credit.is_open and not credit.works:
            self._sessions.pop(credit.session, None)
        self._instructions.append(terminal)

    def _withdraw(self, work: Work) -> None:
        """Take work that waits out of its queue."""
        if isinstance(work.asked, JobSubmitted):
            self._job_queue.remove(work)
            return
        for task in list(work.tasks.values()):
            self._release(task, work)
        self._stop_waiting(work)

    def _stop_waiting(self, frame: Work) -> None:
        self._waiting_frames -= 1
        self._waiting_bytes -= frame.bytes

    def _release(self, task: ScheduledFrame, work: Work) -> None:
        del work.tasks[task.number]
        self._placement.release(task)

    def _release_all(self, work: Work) -> None:
        """Take work that runs off its worker."""
        for task in list(work.tasks.values()):
            self._release(task, work)
        if isinstance(work.asked, JobSubmitted) and work.worker is not None:
            self._placement.workers[work.worker].jobs.discard(work.id)
            self._job_queue.leave(work.credit.user)
        work.worker = None

    def _lose(self, event: WorkerExited, now: float) -> None:
        worker = self._placement.workers.get(event.worker)
        if worker is None:
            return
        self._placement.free_reserved(worker)
        blamed = _blamed(worker)
        owners = {task.owner for task in worker.tasks.values()} | worker.jobs
        # The newest first, because each goes before everything that waits.
        works = sorted((self._works[owner] for owner in owners), key=lambda work: work.order, reverse=True)
        for digest in {work.asked.digest for work in works if work.id in blamed}:
            self._quarantine.record_death(digest, now)
        for work in works:
            task = work.tasks.get(0)
            self._release_all(work)
            work.deaths += work.id in blamed
            if work.ending is not None:
                self._conclude(work, work.ending, now)
            elif isinstance(work.asked, JobSubmitted):
                self._retry_job(work, now)
            elif task is not None:
                self._retry_frame(work, task, now)
        self._placement.drop_worker(worker)
        self._isolate_after_death(now)

    def _retry_frame(self, work: Work, task: ScheduledFrame, now: float) -> None:
        newest = work.credit.newest_of(work.viewer) if work.viewer else work
        if work.deaths >= DEATHS:
            self._quarantine.ban(work.asked.digest, now)
            self._leave(work, Refuse(work.id, work.session, "lost"))
        elif newest is not work:
            self._leave(work, AnswerCancelled(work.id, work.session, "superseded"))
        else:
            task.since, task.alone = now, self._needs_isolation(work)
            work.tasks[0] = task
            self._placement.wait(task, first=True)
            self._waiting_frames += 1
            self._waiting_bytes += work.bytes

    def _retry_job(self, work: Work, now: float) -> None:
        if work.deaths >= DEATHS:
            self._quarantine.ban(work.asked.digest, now)
            after = self._quarantine.banned_s(work.asked.digest, now)
            self._leave(work, Refuse(work.id, work.session, "quarantined", after))
        else:
            self._job_queue.add(work, first=True)

    def _isolate_after_death(self, now: float) -> None:
        """After a death, let work of a blamed digest start alone, and refuse work of a banned one."""
        for work in list(self._works.values()):
            if work.worker is None and (after := self._quarantine.banned_s(work.asked.digest, now)):
                self._withdraw(work)
                self._leave(work, Refuse(work.id, work.session, "quarantined", after))
                continue
            for task in work.tasks.values():
                if task.worker is None:
                    task.alone = task.alone or self._needs_isolation(work)

    def _is_pending(self, id: bytes, order: int) -> bool:
        work = self._works.get(id)
        return work is not None and work.order == order and work.ending is None

    def _end_overdue(self, now: float) -> None:
        while (id := self._deadlines.due(now)) is not None:
            work = self._works[id]
            if work.deadline is not None and work.deadline <= now:
                self._end(work, "deadline", now)
            elif work.worker is None and not self._devices.has(work.asked.device):
                self._withdraw(work)
                self._leave(work, Refuse(work.id, work.session, "no_device"))

    def _start_tasks(self, now: float) -> None:
        for task, worker in self._placement.start(now):
            work = self._works[task.owner]
            if isinstance(work.asked, JobSubmitted):
                self._instructions.append(GrantTurn(work.id, task.number, worker.number))
                continue
            work.worker = worker.number
            work.attempt += 1
            self._stop_waiting(work)
            self._instructions.append(StartFrame(work.id, worker.number, now - task.since, work.attempt))

    def _start_jobs(self) -> None:
        while (taken := self._job_queue.take(self._placement.workers.values())) is not None:
            work, worker = taken
            worker.jobs.add(work.id)
            worker.used(work.asked.style)
            work.worker = worker.number
            work.attempt += 1
            self._instructions.append(StartJob(work.id, worker.number, work.attempt))

    def _report_position(self, event: SchedulerEvent) -> None:
        if not isinstance(event, (FrameSubmitted, JobSubmitted)):
            return
        work = self._works.get(event.id)
        if work is None or work.worker is not None:
            return
        is_frame = isinstance(event, FrameSubmitted)
        position = self._placement.position_of(work.tasks[0]) if is_frame else len(self._job_queue)
        self._instructions.append(Wait(event.id, event.session, position))


def _nothing(scheduler: Scheduler, event: SchedulerEvent, now: float) -> None:
    """Time alone has passed."""


_HANDLERS: Final[Mapping[type[SchedulerEvent], Callable[[Scheduler, Any, float], None]]] = {
    SessionOpened: Scheduler._open,
    SessionClosed: Scheduler._close,
    FrameSubmitted: Scheduler._submit_frame,
    JobSubmitted: Scheduler._submit_job,
    CancelAsked: Scheduler._cancel,
    WorkerReady: Scheduler._add_worker,
    WorkerExited: Scheduler._lose,
    TurnWanted: Scheduler._want_turn,
    TurnEnded: Scheduler._end_turn,
    WorkEnded: Scheduler._end_work,
    JobProgressed: Scheduler._progress,
    Draining: Scheduler._drain,
    Tick: _nothing,
}


def _blamed(worker: Worker) -> frozenset[bytes]:
    """The requests and jobs that may have caused the death of this worker."""
    running = frozenset(task.owner for task in worker.tasks.values())
    if worker.hung is not None:
        return worker.hung & running
    if worker.is_alone:
        return running
    return running | worker.jobs
