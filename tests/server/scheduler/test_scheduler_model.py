"""The scheduler against a small model of clients and workers, whatever happens in whatever order.

The model knows what every party may know of the others: what was asked and not yet answered, what each worker was told
to run, and how much of its credit each session uses. It says nothing about who should be next.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from impasto.server.protocol.limits import Limits
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
from impasto.server.scheduler.quarantine import QUARANTINE_S
from impasto.server.scheduler.scheduler import Scheduler

LIMITS = Limits(
    queued_requests=6,
    queued_bytes=5000,
    interactive_frames=3,
    interactive_bytes=2500,
    batch_frames=4,
    batch_bytes=4000,
    hang_floor_s=20.0,
)
CREDIT = {"interactive": (3, 2500), "batch": (4, 4000)}
LANES = st.sampled_from(["interactive", "batch"])
STYLES = st.sampled_from(["oil", "ink"])
DEVICES = st.sampled_from(["", "", "", "cpu", "cuda:0", "cuda:9", "mps"])
DIGESTS = st.sampled_from([bytes([number]) for number in range(6)])
PICK = st.integers(0, 1 << 16)


@dataclass
class Asked:
    session: bytes
    bytes: int
    is_job: bool
    viewer: str = ""
    worker: int | None = None
    stopped: bool = False
    starts: int = 0
    wanted: set[int] = field(default_factory=set)
    granted: set[int] = field(default_factory=set)
    tasks: int = 0


@dataclass
class FakeWorker:
    device: str
    depth: int
    killed: bool = False


class Life(RuleBasedStateMachine):
    """Clients ask and leave, workers work and die, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS, ("cpu", "cuda:0"))
        self.now = 0.0
        self.numbers = iter(range(1, 1 << 30))
        self.sessions: dict[bytes, str] = {}
        self.asked: dict[bytes, Asked] = {}
        self.workers: dict[int, FakeWorker] = {}
        self.terminals: Counter[bytes] = Counter()
        self.draining = False
        self.submitted: bytes | None = None

    def tell(self, event: SchedulerEvent) -> list[Instruction]:
        instructions = self.scheduler.handle(event, self.now)
        for each in instructions:
            self.carry_out(each)
        return instructions

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case StartFrame():
                asked = self.asked[instruction.id]
                assert not asked.is_job
                assert asked.worker is None
                self.start(asked, instruction.worker, instruction.attempt)
                assert instruction.queued_s >= 0
                assert self.load(instruction.worker) <= self.workers[instruction.worker].depth
            case StartJob():
                asked = self.asked[instruction.id]
                assert asked.is_job
                assert asked.worker is None
                self.start(asked, instruction.worker, instruction.attempt)
            case GrantTurn():
                asked = self.asked[instruction.job]
                assert asked.worker == instruction.worker
                assert not asked.stopped
                assert not self.workers[instruction.worker].killed
                asked.wanted.remove(instruction.number)
                asked.granted.add(instruction.number)
                assert self.load(instruction.worker) <= self.workers[instruction.worker].depth
            case Stop():
                asked = self.asked[instruction.id]
                assert asked.worker == instruction.worker
                assert instruction.worker in self.workers
                assert not asked.stopped
                asked.stopped = True
                asked.wanted.clear()
            case KillWorker():
                assert not self.workers[instruction.worker].killed
                assert instruction.silent_s >= LIMITS.hang_floor_s - 1e-6
                self.workers[instruction.worker].killed = True
            case Wait():
                assert self.asked[instruction.id].session == instruction.session
                assert self.asked[instruction.id].worker is None
                assert instruction.position >= 1
            case ForwardAnswer() | Refuse() | AnswerCancelled() | AnswerExpired():
                self.terminals[instruction.id] += 1
                if instruction.id == self.submitted and instruction.id not in self.asked:
                    assert isinstance(instruction, Refuse)
                    return
                asked = self.asked.pop(instruction.id)
                assert asked.session == instruction.session
                assert asked.worker is None, "a terminal message while a worker still writes"

    def start(self, asked: Asked, worker: int, attempt: int) -> None:
        assert not self.workers[worker].killed
        asked.worker = worker
        asked.starts += 1
        assert attempt == asked.starts

    def load(self, worker: int) -> int:
        here = [asked for asked in self.asked.values() if asked.worker == worker]
        return sum(len(asked.granted) if asked.is_job else 1 for asked in here)

    def of(self, *, job: bool) -> list[bytes]:
        """What workers that live have in hand."""
        return [id for id, asked in self.asked.items() if asked.is_job == job and asked.worker is not None]

    def leave_worker(self, id: bytes) -> int:
        asked = self.asked[id]
        worker, asked.worker = asked.worker, None
        asked.wanted.clear()
        asked.granted.clear()
        assert worker is not None
        return worker

    # Clients

    @precondition(lambda self: len(self.sessions) < 6)
    @rule(lane=LANES, user=st.sampled_from(["ann", "bob", "cleo"]))
    def open(self, lane: str, user: str) -> None:
        session = b"session %d" % next(self.numbers)
        self.sessions[session] = lane
        assert self.tell(SessionOpened(session, user, lane)) == []

    @precondition(lambda self: self.sessions)
    @rule(
        pick=PICK,
        lane=LANES,
        style=STYLES,
        device=DEVICES,
        digest=DIGESTS,
        size=st.sampled_from([1, 400, 900, 3000]),
        viewer=st.sampled_from(["", "left", "right"]),
        deadline=st.sampled_from([None, None, 1.0, 7.5]),
    )
    def submit_frame(
        self,
        pick: int,
        lane: str,
        style: str,
        device: str,
        digest: bytes,
        size: int,
        viewer: str,
        deadline: float | None,
    ) -> None:
        session = sorted(self.sessions)[pick % len(self.sessions)]
        id = self.submitted = b"frame %d" % next(self.numbers)
        # The scheduler says what is superseded before it says what becomes of the new one.
        event = FrameSubmitted(id, session, lane, style, digest, size / 500, size, viewer, deadline, device)
        before = self.credit(session)
        instructions = self.scheduler.handle(event, self.now)
        refused = [each for each in instructions if isinstance(each, Refuse) and each.id == id]
        if not refused:
            self.asked[id] = Asked(session, size, False, viewer)
        elif refused[0].why == "credit":
            frames, held = CREDIT[self.sessions[session]]
            assert before[0] + 1 > frames - (viewer != "") or before[1] + size > held - 3000 * (viewer != "")
        for each in instructions:
            self.carry_out(each)
        self.submitted = None

    @precondition(lambda self: self.sessions)
    @rule(pick=PICK, lane=LANES, style=STYLES, device=DEVICES, digest=DIGESTS)
    def submit_job(self, pick: int, lane: str, style: str, device: str, digest: bytes) -> None:
        session = sorted(self.sessions)[pick % len(self.sessions)]
        id = self.submitted = b"job %d" % next(self.numbers)
        instructions = self.scheduler.handle(JobSubmitted(id, session, lane, style, digest, device), self.now)
        if not any(isinstance(each, Refuse) and each.id == id for each in instructions):
            self.asked[id] = Asked(session, 0, True)
        for each in instructions:
            self.carry_out(each)
        self.submitted = None

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        id = sorted(self.asked)[pick % len(self.asked)]
        asked = self.asked[id]
        waits = asked.worker is None
        self.tell(CancelAsked(id, asked.session))
        assert asked.stopped or (waits and id not in self.asked)

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def cancel_of_another(self, pick: int) -> None:
        id = sorted(self.asked)[pick % len(self.asked)]
        self.tell(CancelAsked(id, b"somebody else"))
        assert id in self.asked

    @precondition(lambda self: self.sessions)
    @rule(pick=PICK)
    def close(self, pick: int) -> None:
        session = sorted(self.sessions)[pick % len(self.sessions)]
        del self.sessions[session]
        self.tell(SessionClosed(session))
        assert all(asked.stopped for asked in self.asked.values() if asked.session == session)

    # Workers

    @precondition(lambda self: len(self.workers) < 3)
    @rule(device=st.sampled_from(["cpu", "cuda:0"]), depth=st.integers(1, 3))
    def ready(self, device: str, depth: int) -> None:
        number = next(self.numbers)
        self.workers[number] = FakeWorker(device, depth)
        self.tell(WorkerReady(number, device, depth))

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        number = sorted(self.workers)[pick % len(self.workers)]
        del self.workers[number]
        for id, asked in list(self.asked.items()):
            if asked.worker == number:
                self.leave_worker(id)
        self.tell(WorkerExited(number))
        assert not any(asked.stopped and asked.worker is None for asked in self.asked.values())

    @precondition(lambda self: self.of(job=False))
    @rule(pick=PICK, outcome=st.sampled_from(["done", "done", "failed"]))
    def end_frame(self, pick: int, outcome: str) -> None:
        ids = self.of(job=False)
        id = sorted(ids)[pick % len(ids)]
        stopped = self.asked[id].stopped
        worker = self.leave_worker(id)
        self.tell(WorkEnded(id, worker, "stopped" if stopped and outcome == "failed" else outcome))
        assert self.terminals[id] == 1
        assert self.tell(WorkEnded(id, worker, "done")) == []

    @precondition(lambda self: self.of(job=True))
    @rule(pick=PICK)
    def want(self, pick: int) -> None:
        ids = self.of(job=True)
        id = sorted(ids)[pick % len(ids)]
        asked = self.asked[id]
        task, asked.tasks = asked.tasks, asked.tasks + 1
        if not asked.stopped:
            asked.wanted.add(task)
        self.tell(TurnWanted(id, task, 2.0))

    @precondition(lambda self: any(asked.granted or asked.wanted for asked in self.asked.values()))
    @rule(pick=PICK, progress=st.booleans())
    def free_slot(self, pick: int, progress: bool) -> None:
        tasks = sorted((id, task) for id, asked in self.asked.items() for task in asked.granted | asked.wanted)
        id, task = tasks[pick % len(tasks)]
        self.asked[id].granted.discard(task)
        self.asked[id].wanted.discard(task)
        self.tell(TurnEnded(id, task))
        if progress:
            self.tell(JobProgressed(id))

    @precondition(lambda self: self.of(job=True))
    @rule(pick=PICK, outcome=st.sampled_from(["done", "failed"]))
    def end_job(self, pick: int, outcome: str) -> None:
        ids = self.of(job=True)
        id = sorted(ids)[pick % len(ids)]
        stopped = self.asked[id].stopped
        worker = self.leave_worker(id)
        self.tell(WorkEnded(id, worker, "stopped" if stopped and outcome == "failed" else outcome))
        assert self.terminals[id] == 1

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def move(self, pick: int) -> None:
        self.scheduler.progressed(sorted(self.asked)[pick % len(self.asked)], self.now)

    # Time

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Tick())

    @rule()
    def wait_as_told(self) -> None:
        wake = self.scheduler.next_wake()
        if wake is not None:
            self.now = max(self.now, wake)
            self.tell(Tick())
            after = self.scheduler.next_wake()
            assert after is None or after > self.now, "woken for nothing"

    @precondition(lambda self: not self.draining and next(self.numbers) % 61 == 0)
    @rule(at_once=st.booleans())
    def drain(self, at_once: bool) -> None:
        self.draining = True
        self.tell(Draining(at_once))
        if at_once:
            assert all(asked.stopped for asked in self.asked.values())

    # What holds at all times

    def credit(self, session: bytes) -> tuple[int, int]:
        frames = [asked for asked in self.asked.values() if asked.session == session and not asked.is_job]
        return len(frames), sum(asked.bytes for asked in frames)

    @invariant()
    def one_terminal_for_each_request(self) -> None:
        assert all(many == 1 for many in self.terminals.values())
        assert not self.terminals.keys() & self.asked.keys()

    @invariant()
    def credit_and_bytes_are_conserved(self) -> None:
        sessions = self.scheduler._sessions
        assert self.sessions.keys() <= sessions.keys()
        for session, credit in sessions.items():
            assert (credit.frames, credit.held_bytes) == self.credit(session)
            assert credit.frames <= credit.most_frames
            assert credit.held_bytes <= credit.most_bytes
        waiting = [asked for asked in self.asked.values() if asked.worker is None and not asked.is_job]
        assert self.scheduler._waiting_frames == len(waiting)
        assert self.scheduler._waiting_bytes == sum(asked.bytes for asked in waiting)

    @invariant()
    def what_waits_and_runs_is_counted(self) -> None:
        waiting = sum(asked.worker is None for asked in self.asked.values())
        running = sum(self.load(number) for number in self.workers)
        assert self.scheduler._waiting_frames + len(self.scheduler._job_queue) == waiting
        assert len(self.scheduler._placement.running) == running
        assert self.scheduler.idle == (not self.asked)

    @invariant()
    def one_request_of_a_viewer_waits_at_most(self) -> None:
        viewers = Counter(
            (asked.session, asked.viewer) for asked in self.asked.values() if asked.viewer and asked.worker is None
        )
        assert all(many == 1 for many in viewers.values())

    @invariant()
    def nothing_runs_beside_a_frame_that_has_to_run_alone(self) -> None:
        for worker in self.scheduler._placement.workers.values():
            assert len(worker.tasks) == 1 or not any(task.alone for task in worker.tasks.values())

    @invariant()
    def no_worker_is_idle_while_work_waits_for_it(self) -> None:
        waits = [id for id, asked in self.asked.items() if asked.worker is None and not asked.is_job]
        if any(self.scheduler._works[id].asked.device == "" for id in waits):
            assert all(self.load(number) or place.killed for number, place in self.workers.items())

    def teardown(self) -> None:
        """Whatever happened, with workers that work everything ends, and nothing of it is kept."""
        for device in ("cpu", "cuda:0"):
            number = next(self.numbers)
            self.workers[number] = FakeWorker(device, 2)
            self.tell(WorkerReady(number, device, 2))
        for number in [number for number, place in self.workers.items() if place.killed]:
            del self.workers[number]
            for id, asked in list(self.asked.items()):
                if asked.worker == number:
                    self.leave_worker(id)
            self.tell(WorkerExited(number))
        # Nobody starves: each round ends what runs, so that as many rounds as there is work are enough.
        for _ in range(len(self.asked) + 1):
            for id in self.of(job=True):
                self.tell(WorkEnded(id, self.leave_worker(id), "done"))
            for id in self.of(job=False):
                self.tell(WorkEnded(id, self.leave_worker(id), "done"))
        assert not self.asked
        for session in list(self.sessions):
            self.tell(SessionClosed(session))
        self.now += QUARANTINE_S + 1
        self.tell(Tick())
        assert self.scheduler.next_wake() is None
        assert self.scheduler.idle
        for table in ("_sessions", "_works", "_quarantine", "_deadlines", "_job_queue"):
            assert not len(getattr(self.scheduler, table)), table
        for queue in self.scheduler._placement._queues.values():
            assert not len(queue)
            assert not queue._backlogs
            assert not queue._tags
        assert all(not place.tasks and not place.jobs for place in self.scheduler._placement.workers.values())
        assert all(place.reserved is None for place in self.scheduler._placement.workers.values())


Life.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLife = Life.TestCase
