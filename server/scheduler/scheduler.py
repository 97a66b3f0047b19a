"""Who is served next, as a state machine: events in, instructions out.

No socket, thread or clock: every event bears the time at which it happened, in seconds of one monotonic clock, and
`next_wake` says when a `Tick` is due although nothing else happens. The front carries the instructions out.

The rules, and where they are kept:

- Interactive turns go before batch turns, but batch keeps its share; users of a lane are served alike by megapixels;
  of one user the oldest turn goes first (`fairness`). A turn runs where its style is warm, if there is room there
  (`floor`).
- A newer request of a viewer takes the place of the one that waits. One that runs is finished, because it is nearly
  done and worth showing; if its worker dies it is not tried again.
- What was told to stop is finished by its worker's word, so that nobody writes where the client may write again:
  `Stop`, then the worker's end, then the terminal message. A result that came before the stop is the answer, but
  after a deadline it is not.
- When a worker dies, what it painted is tried once more, alone on its worker, so that a second death has one cause.
  Jobs that were open there are blamed too, unless it is known whose turn it was: of one that ran alone, or hung. Who
  is not blamed is started again at no cost. A digest that is blamed twice is in quarantine (`suspicion`).
- Only turns are watched for hangs. A job that reads from a camera or a slow disk may take its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from impasto.server.protocol.limits import Limits
from impasto.server.scheduler.credit import Account, Ending, Work, open_account
from impasto.server.scheduler.deadlines import Alarms
from impasto.server.scheduler.events import (
    Answer,
    CancelAsked,
    Cancelled,
    Draining,
    Event,
    Expired,
    FrameEnded,
    FrameSubmitted,
    GrantTurn,
    Instruction,
    JobEnded,
    JobProgressed,
    JobSubmitted,
    KillWorker,
    Refuse,
    SessionClosed,
    SessionOpened,
    StartFrame,
    StartJob,
    Stop,
    Tick,
    TurnEnded,
    TurnWanted,
    Wait,
    WorkerLost,
    WorkerReady,
)
from impasto.server.scheduler.job_slots import JobPlaces
from impasto.server.scheduler.placement import Floor
from impasto.server.scheduler.quarantine import DEATHS, Suspicion
from impasto.server.scheduler.workers import Turn, Worker, names_of

DEVICE_WAIT_S: Final = 30.0
"""How long a device that may yet be found is waited for."""
SOONEST_S: Final = 0.1
LATEST_S: Final = 30.0
"""Between these a client is told to try again."""

Outcome: TypeAlias = Literal["done", "failed", "stopped"]
Why: TypeAlias = Literal["busy", "credit", "draining", "quarantined", "lost", "no_device"]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the workers, by everybody or by one session."""

    queued: int
    """Requests and jobs that wait for a worker."""
    running: int
    """Frames that are being painted, of requests and of jobs."""
    jobs: int
    """Shot jobs that are open on a worker."""


class Scheduler:
    """The queue of a server and what its workers are doing."""

    def __init__(self, limits: Limits, devices: Sequence[str]) -> None:
        """`devices` are those of the settings; with 'auto' among them, others may be found later."""
        self._limits = limits
        self._finds_devices = "auto" in devices
        self._devices = {name for device in devices for name in names_of(device)} - {"auto"}
        self._bare_devices = {device for device in devices if ":" not in device}
        self._accounts: dict[bytes, Account] = {}
        self._works: dict[bytes, Work] = {}
        self._floor = Floor(limits.batch_share, limits.hang_floor_s)
        self._waiting_frames = 0
        self._waiting_bytes = 0
        self._places = JobPlaces()
        self._suspicion = Suspicion()
        self._alarms = Alarms(self._may_ring)
        self._draining = False
        self._order = 0
        self._now = 0.0
        self._said: list[Instruction] = []

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event and say what is to be done, in order. `now` never runs backwards.

        Raises ValueError for an event that contradicts an earlier one: an id, a session or a worker that is there
        already, or a request of a session that is not open. What comes too late to matter is ignored.
        """
        now = self._now = max(self._now, now)
        self._floor.pass_time(now)
        self._take(event, now)
        self._ring_alarms(now)
        for worker, silent_s in self._floor.hung(now):
            self._said.append(KillWorker(worker.number, silent_s))
        self._suspicion.forget(now)
        self._start_turns(now)
        self._start_jobs()
        self._say_who_waits(event)
        if not self._works:
            self._floor.rest()
        said, self._said = self._said, []
        return said

    def progressed(self, id: bytes, now: float) -> None:
        """A worker reports that this request or job moves: a tile more, a frame read, a style loaded."""
        work = self._works.get(id)
        if work is not None:
            for turn in work.turns.values():
                turn.moved = max(turn.moved, now)

    def next_wake(self) -> float | None:
        """When a `Tick` is due: a deadline, a hang, the end of a quarantine; None for never."""
        times = (self._alarms.next(), self._suspicion.next_end(), self._floor.next_hang())
        return min([time for time in times if time is not None], default=None)

    @property
    def load(self) -> Load:
        """What is asked of the workers now."""
        return Load(self._waiting_frames + len(self._places), len(self._floor.running), self._places.open)

    def load_of(self, session: bytes) -> Load:
        """What this session asks of them; nothing if it is not known."""
        account = self._accounts.get(session)
        works = list(account.works.values()) if account is not None else []
        placed = [work for work in works if work.worker is not None]
        turns = sum(turn.worker is not None for work in placed for turn in work.turns.values())
        jobs = sum(isinstance(work.asked, JobSubmitted) for work in placed)
        return Load(len(works) - len(placed), turns, jobs)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._works

    def _take(self, event: Event, now: float) -> None:
        _TAKERS[type(event)](self, event, now)

    def _cancel(self, event: CancelAsked, now: float) -> None:
        work = self._works.get(event.id)
        if work is not None and work.session == event.session:
            self._end(work, "asked", now)

    def _open(self, event: SessionOpened, now: float) -> None:
        if event.session in self._accounts:
            raise ValueError(f"session {event.session.hex()} is open already; close it first")
        self._accounts[event.session] = open_account(event.session, event.user, event.lane, self._limits)

    def _close(self, event: SessionClosed, now: float) -> None:
        account = self._accounts.get(event.session)
        if account is None:
            return
        account.is_open = False
        for work in list(account.works.values()):
            self._end(work, "session", now)
        if not account.works:
            self._accounts.pop(event.session, None)

    def _submit_frame(self, event: FrameSubmitted, now: float) -> None:
        account = self._account_for(event)
        newest = account.newest_of(event.viewer) if event.viewer else None
        old = newest if newest is not None and newest.worker is None and newest.id in account.works else None
        why = self._objection(event)
        if why is None and not account.has_credit(event, old):
            why = "credit"
        if why is None and not self._has_room(event, old):
            why = "busy"
        if why is not None:
            self._refuse(event, why, now)
            return
        work = Work(event, account, self._next(), now)
        turn = self._turn_of(work, 0, event.megapixels, event.device, now)
        work.turns[0] = turn
        if old is not None:
            self._take_the_place(old, turn)
        else:
            self._floor.wait(turn)
        self._waiting_frames += 1
        self._waiting_bytes += work.bytes
        self._enter(work)

    def _submit_job(self, event: JobSubmitted, now: float) -> None:
        account = self._account_for(event)
        why = self._objection(event)
        # A half, so that nobody can fill the queue of jobs alone; one that finds a free place does not wait.
        half = max(1, self._limits.queued_requests // 2)
        if why is None and (
            len(self._places) >= self._limits.queued_requests or self._places.waiting_of(account.user) >= half
        ):
            why = "busy"
        if why is not None:
            self._refuse(event, why, now)
            return
        work = Work(event, account, self._next(), now)
        self._places.add(work)
        self._enter(work)

    def _welcome(self, event: WorkerReady, now: float) -> None:
        if event.worker in self._floor.workers:
            raise ValueError(f"worker {event.worker} is ready already; a new worker needs a new number")
        self._floor.add_worker(Worker(event.worker, event.device, max(1, event.depth)))
        self._devices.update(names_of(event.device))
        if self._finds_devices and event.devices is not None:
            self._finds_devices = False
            self._bare_devices.discard("auto")
            self._devices.update(name for device in event.devices for name in names_of(device))
            for work in list(self._works.values()):
                if work.worker is None and work.ending is None and not self._may_have(work.asked.device):
                    self._withdraw(work)
                    self._leave(work, Refuse(work.id, work.session, "no_device"))

    def _want_turn(self, event: TurnWanted, now: float) -> None:
        work = self._works.get(event.job)
        if work is None or not isinstance(work.asked, JobSubmitted):
            return
        if work.worker is None or work.ending is not None or event.turn in work.turns:
            return
        turn = self._turn_of(work, event.turn, event.megapixels, work.worker, now)
        work.turns[event.turn] = turn
        self._floor.wait(turn)

    def _end_turn(self, event: TurnEnded, now: float) -> None:
        work = self._works.get(event.job)
        turn = work.turns.get(event.turn) if work is not None else None
        if work is None or turn is None or not isinstance(work.asked, JobSubmitted):
            return
        if turn.worker is not None and work.ending is None:
            self._floor.took(turn, now)
        self._let_go(turn, work)

    def _end_work(self, event: FrameEnded | JobEnded, now: float) -> None:
        work = self._works.get(event.id)
        # A worker that answers what it does not have, any more, changes nothing.
        if work is None or work.worker != event.worker:
            return
        if isinstance(work.asked, JobSubmitted) != isinstance(event, JobEnded):
            return
        if event.outcome != "stopped":
            self._suspicion.clear(work.asked.digest)
        if event.outcome == "done" and isinstance(event, FrameEnded):
            self._floor.took(work.turns[0], now)
        self._let_all_go(work)
        if event.outcome == "stopped" or work.ending == "deadline":
            self._conclude(work, work.ending or "asked", now)
        else:
            self._leave(work, Answer(work.id, work.session))

    def _absolve(self, event: JobProgressed, now: float) -> None:
        work = self._works.get(event.id)
        if work is None or work.worker is None:
            return
        work.deaths = 0
        self._suspicion.clear(work.asked.digest)
        for turn in work.turns.values():
            turn.alone = False

    def _drain(self, event: Draining, now: float) -> None:
        self._draining = True
        for work in list(self._works.values()) if event.at_once else ():
            self._end(work, "shutdown", now)

    def _account_for(self, event: FrameSubmitted | JobSubmitted) -> Account:
        if event.id in self._works:
            raise ValueError(f"request {event.id.hex()} is under way already; attach to it instead")
        account = self._accounts.get(event.session)
        if account is None or not account.is_open:
            raise ValueError(f"session {event.session.hex()} is not open; open it before it asks for work")
        return account

    def _objection(self, event: FrameSubmitted | JobSubmitted) -> Why | None:
        if self._draining:
            return "draining"
        if self._suspicion.quarantined_s(event.digest, self._now):
            return "quarantined"
        if not self._may_have(event.device):
            return "no_device"
        return None

    def _may_have(self, device: str) -> bool:
        """Whether this device is there, was there, or may be found to be there."""
        return self._has(device) or self._finds_devices or names_of(device)[-1] in self._bare_devices

    def _has(self, device: str) -> bool:
        return device in ("", "auto") or device in self._devices

    def _has_room(self, event: FrameSubmitted, returned: Work | None) -> bool:
        frames = self._waiting_frames - (returned is not None)
        held = self._waiting_bytes - (returned.bytes if returned is not None else 0)
        return frames < self._limits.queued_requests and held + event.bytes <= self._limits.queued_bytes

    def _refuse(self, event: FrameSubmitted | JobSubmitted, why: Why, now: float) -> None:
        after = 0.0
        if why == "busy":
            # When a quarter of what waits will be worked off. Nobody knows how long jobs take.
            soon = self._floor.backlog_s() / 4 if isinstance(event, FrameSubmitted) else LATEST_S
            after = min(max(soon, SOONEST_S), LATEST_S)
        elif why == "quarantined":
            after = self._suspicion.quarantined_s(event.digest, now)
        self._said.append(Refuse(event.id, event.session, why, after))

    def _enter(self, work: Work) -> None:
        self._works[work.id] = work
        work.account.enter(work)
        if work.deadline is not None:
            self._alarms.set(work.deadline, work.id, work.order)
        if not self._has(work.asked.device):
            self._alarms.set(work.since + DEVICE_WAIT_S, work.id, work.order)

    def _turn_of(self, work: Work, number: int, megapixels: float, place: str | int, now: float) -> Turn:
        asked = work.asked
        return Turn(
            owner=work.id,
            number=number,
            user=work.account.user,
            lane=asked.lane,
            style=asked.style,
            place=place,
            megapixels=megapixels,
            order=self._next(),
            since=now,
            alone=self._is_suspect(work),
        )

    def _is_suspect(self, work: Work) -> bool:
        return work.deaths > 0 or self._suspicion.suspects(work.asked.digest)

    def _next(self) -> int:
        self._order += 1
        return self._order

    def _take_the_place(self, old: Work, turn: Turn) -> None:
        """Cancel a request that waits and let this turn wait where it did."""
        self._floor.replace(old.turns.pop(0), turn)
        self._stop_waiting(old)
        self._leave(old, Cancelled(old.id, old.session, "superseded"))

    def _end(self, work: Work, why: Ending, now: float) -> None:
        """Drop what waits; tell the worker to stop what runs, once."""
        if work.ending is not None:
            return
        if work.worker is None:
            self._withdraw(work)
            self._conclude(work, why, now)
            return
        work.ending = why
        self._said.append(Stop(work.id, work.worker))
        for turn in list(work.turns.values()):
            if turn.worker is None:
                self._let_go(turn, work)

    def _conclude(self, work: Work, why: Ending, now: float) -> None:
        """Say that it was ended, and why."""
        if why == "deadline":
            self._leave(work, Expired(work.id, work.session, max(0.0, now - (work.deadline or now))))
        else:
            self._leave(work, Cancelled(work.id, work.session, why))

    def _leave(self, work: Work, terminal: Answer | Refuse | Cancelled | Expired) -> None:
        """Forget what nothing waits for and nothing runs of any more; its credit returns."""
        del self._works[work.id]
        account = work.account
        account.leave(work)
        if not account.is_open and not account.works:
            self._accounts.pop(account.session, None)
        self._said.append(terminal)

    def _withdraw(self, work: Work) -> None:
        """Take a work that waits out of where it waits."""
        if isinstance(work.asked, JobSubmitted):
            self._places.remove(work)
            return
        for turn in list(work.turns.values()):
            self._let_go(turn, work)
        self._stop_waiting(work)

    def _stop_waiting(self, frame: Work) -> None:
        self._waiting_frames -= 1
        self._waiting_bytes -= frame.bytes

    def _let_go(self, turn: Turn, work: Work) -> None:
        del work.turns[turn.number]
        self._floor.let_go(turn)

    def _let_all_go(self, work: Work) -> None:
        """Take a work that runs off its worker."""
        for turn in list(work.turns.values()):
            self._let_go(turn, work)
        if isinstance(work.asked, JobSubmitted) and work.worker is not None:
            self._floor.workers[work.worker].jobs.discard(work.id)
            self._places.leave(work.account.user)
        work.worker = None

    def _lose(self, event: WorkerLost, now: float) -> None:
        worker = self._floor.workers.get(event.worker)
        if worker is None:
            return
        self._floor.free_reserved(worker)
        blamed = _blamed(worker)
        owners = {turn.owner for turn in worker.turns.values()} | worker.jobs
        # The newest first, because each goes before everything that waits.
        works = sorted((self._works[owner] for owner in owners), key=lambda work: work.order, reverse=True)
        for digest in {work.asked.digest for work in works if work.id in blamed}:
            self._suspicion.blame(digest, now)
        for work in works:
            turn = work.turns.get(0)
            self._let_all_go(work)
            work.deaths += work.id in blamed
            if work.ending is not None:
                self._conclude(work, work.ending, now)
            elif isinstance(work.asked, JobSubmitted):
                self._retry_job(work, now)
            elif turn is not None:
                self._retry_frame(work, turn, now)
        self._floor.drop_worker(worker)
        self._isolate_suspects(now)

    def _retry_frame(self, work: Work, turn: Turn, now: float) -> None:
        newest = work.account.newest_of(work.viewer) if work.viewer else work
        if work.deaths >= DEATHS:
            self._suspicion.condemn(work.asked.digest, now)
            self._leave(work, Refuse(work.id, work.session, "lost"))
        elif newest is not work:
            self._leave(work, Cancelled(work.id, work.session, "superseded"))
        else:
            turn.since, turn.alone = now, self._is_suspect(work)
            work.turns[0] = turn
            self._floor.wait(turn, first=True)
            self._waiting_frames += 1
            self._waiting_bytes += work.bytes

    def _retry_job(self, work: Work, now: float) -> None:
        if work.deaths >= DEATHS:
            self._suspicion.condemn(work.asked.digest, now)
            after = self._suspicion.quarantined_s(work.asked.digest, now)
            self._leave(work, Refuse(work.id, work.session, "quarantined", after))
        else:
            self._places.add(work, first=True)

    def _isolate_suspects(self, now: float) -> None:
        """After a death, let what shares a digest with a suspect start alone, and nothing of a condemned one."""
        for work in list(self._works.values()):
            if work.worker is None and (after := self._suspicion.quarantined_s(work.asked.digest, now)):
                self._withdraw(work)
                self._leave(work, Refuse(work.id, work.session, "quarantined", after))
                continue
            for turn in work.turns.values():
                if turn.worker is None:
                    turn.alone = turn.alone or self._is_suspect(work)

    def _may_ring(self, id: bytes, order: int) -> bool:
        work = self._works.get(id)
        return work is not None and work.order == order and work.ending is None

    def _ring_alarms(self, now: float) -> None:
        while (id := self._alarms.due(now)) is not None:
            work = self._works[id]
            if work.deadline is not None and work.deadline <= now:
                self._end(work, "deadline", now)
            elif work.worker is None and not self._has(work.asked.device):
                self._withdraw(work)
                self._leave(work, Refuse(work.id, work.session, "no_device"))

    def _start_turns(self, now: float) -> None:
        for turn, worker in self._floor.start(now):
            work = self._works[turn.owner]
            if isinstance(work.asked, JobSubmitted):
                self._said.append(GrantTurn(work.id, turn.number, worker.number))
                continue
            work.worker = worker.number
            work.attempt += 1
            self._stop_waiting(work)
            self._said.append(StartFrame(work.id, worker.number, now - turn.since, work.attempt))

    def _start_jobs(self) -> None:
        while (taken := self._places.take(self._floor.workers.values())) is not None:
            work, worker = taken
            worker.jobs.add(work.id)
            worker.used(work.asked.style)
            work.worker = worker.number
            work.attempt += 1
            self._said.append(StartJob(work.id, worker.number, work.attempt))

    def _say_who_waits(self, event: Event) -> None:
        if not isinstance(event, (FrameSubmitted, JobSubmitted)):
            return
        work = self._works.get(event.id)
        if work is None or work.worker is not None:
            return
        is_frame = isinstance(event, FrameSubmitted)
        position = self._floor.place_of(work.turns[0]) if is_frame else len(self._places)
        self._said.append(Wait(event.id, event.session, position))


def _nothing(scheduler: Scheduler, event: Event, now: float) -> None:
    """Time alone has passed."""


_TAKERS: Final[Mapping[type[Event], Callable[[Scheduler, Any, float], None]]] = {
    SessionOpened: Scheduler._open,
    SessionClosed: Scheduler._close,
    FrameSubmitted: Scheduler._submit_frame,
    JobSubmitted: Scheduler._submit_job,
    CancelAsked: Scheduler._cancel,
    WorkerReady: Scheduler._welcome,
    WorkerLost: Scheduler._lose,
    TurnWanted: Scheduler._want_turn,
    TurnEnded: Scheduler._end_turn,
    FrameEnded: Scheduler._end_work,
    JobEnded: Scheduler._end_work,
    JobProgressed: Scheduler._absolve,
    Draining: Scheduler._drain,
    Tick: _nothing,
}


def _blamed(worker: Worker) -> frozenset[bytes]:
    """Whose doing the death of this worker may be."""
    running = frozenset(turn.owner for turn in worker.turns.values())
    if worker.hung is not None:
        return worker.hung & running
    if worker.is_alone:
        return running
    return running | worker.jobs
