"""Who is served next: each rule as a claim, with a clock of plain numbers."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest

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
from impasto.server.scheduler.scheduler import Scheduler

TERMINAL = (ForwardAnswer, Refuse, AnswerCancelled, AnswerExpired)


@dataclass
class Server:
    """A scheduler, told in few words; ids, sessions and digests are words too."""

    limits: Limits = field(default_factory=Limits)
    devices: tuple[str, ...] = ("cpu",)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.limits, self.devices)

    def tell(self, event: SchedulerEvent, at: float | None = None) -> list[Instruction]:
        self.now = self.now if at is None else at
        return self.scheduler.handle(event, self.now)

    def worker(self, number: int, device: str = "cpu", depth: int = 1) -> list[Instruction]:
        return self.tell(WorkerReady(number, device, depth))

    def session(self, name: str, user: str = "", lane: str = "interactive") -> None:
        assert self.tell(SessionOpened(name.encode(), user or name, lane)) == []

    def frame(self, id: str, session: str = "ann", **facts: object) -> list[Instruction]:
        fields = {"lane": "interactive", "style": "oil", "digest": f"digest of {id}".encode(), "megapixels": 2.0}
        fields |= {"bytes": 1000, **facts}
        return self.tell(FrameSubmitted(id=id.encode(), session=session.encode(), **fields))

    def job(self, id: str, session: str = "ann", **facts: object) -> list[Instruction]:
        fields = {"lane": "batch", "style": "oil", "digest": f"digest of {id}".encode(), **facts}
        return self.tell(JobSubmitted(id=id.encode(), session=session.encode(), **fields))

    def ended(self, id: str, worker: int = 1, outcome: str = "done") -> list[Instruction]:
        return self.tell(WorkEnded(id.encode(), worker, outcome))

    def wants(self, job: str, task: int) -> list[Instruction]:
        return self.tell(TurnWanted(job.encode(), task, 2.0))

    def cancel(self, id: str, session: str = "ann") -> list[Instruction]:
        return self.tell(CancelAsked(id.encode(), session.encode()))

    def lost(self, worker: int) -> list[Instruction]:
        return self.tell(WorkerExited(worker))


@pytest.fixture
def server() -> Server:
    """One worker with one slot, and ann."""
    made = Server()
    made.worker(1)
    made.session("ann")
    return made


def started(instructions: list[Instruction]) -> list[str]:
    return [each.id.decode() for each in instructions if isinstance(each, StartFrame)]


# A frame, from its submission to its answer


def test_a_frame_starts_at_once_on_a_free_worker(server: Server) -> None:
    assert server.frame("a") == [StartFrame(b"a", 1, 0.0, 1)]
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]
    assert server.scheduler.idle


def test_a_frame_that_must_wait_is_told_its_position(server: Server) -> None:
    server.frame("a")
    assert server.frame("b") == [Wait(b"b", b"ann", 1)]
    assert server.frame("c") == [Wait(b"c", b"ann", 2)]
    server.now += 3
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann"), StartFrame(b"b", 1, 3.0, 1)]


def test_a_worker_runs_as_many_frames_at_once_as_its_depth() -> None:
    server = Server()
    server.session("ann")
    for id in "abc":
        server.frame(id)
    assert started(server.worker(1, depth=2)) == ["a", "b"]


def test_an_error_of_the_worker_is_the_answer(server: Server) -> None:
    server.frame("a")
    assert server.ended("a", outcome="failed") == [ForwardAnswer(b"a", b"ann")]


def test_an_answer_that_nobody_owes_changes_nothing(server: Server) -> None:
    server.frame("a")
    assert server.ended("b") == []
    assert server.ended("a", worker=2) == []
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]
    assert server.ended("a") == []


def test_what_contradicts_an_earlier_event_is_an_error(server: Server) -> None:
    server.frame("a")
    for twice in (lambda: server.frame("a"), lambda: server.session("ann"), lambda: server.worker(1)):
        with pytest.raises(ValueError, match=r"already"):
            twice()
    with pytest.raises(ValueError, match="not open"):
        server.frame("b", session="nobody")


# Credit and the bounds of the queue


def test_credit_in_frames_is_counted_until_the_terminal_message(server: Server) -> None:
    for id in "abc":
        server.frame(id)
    assert server.frame("d") == [Refuse(b"d", b"ann", "credit")]
    server.ended("a")
    assert server.frame("e") == [Wait(b"e", b"ann", 2)]


def test_credit_in_bytes_is_counted_until_the_terminal_message() -> None:
    server = Server(Limits(interactive_bytes=2500))
    server.worker(1)
    server.session("ann")
    server.frame("a")
    server.frame("b")
    assert server.frame("c") == [Refuse(b"c", b"ann", "credit")]
    server.cancel("b")
    assert server.frame("d") == [Wait(b"d", b"ann", 1)]


def test_credit_is_that_of_the_session_whatever_lane_a_frame_names(server: Server) -> None:
    server.session("farm", lane="batch")
    instructions = [server.frame(f"f{number}", session="farm") for number in range(9)]
    assert instructions[8] == [Refuse(b"f8", b"farm", "credit")]
    assert not any(isinstance(each, Refuse) for some in instructions[:8] for each in some)


def test_a_full_queue_is_busy_and_says_when_to_come_again() -> None:
    server = Server(Limits(queued_requests=2))
    server.worker(1)
    for name in ("ann", "bob", "cleo", "dora"):
        server.session(name)
    server.frame("a")
    server.now += 4.0
    server.ended("a")
    for name in ("ann", "bob", "cleo"):
        server.frame(name, session=name)
    # Two wait, each for as long as the last frame took; a quarter of that is the time to ask again.
    assert server.frame("d", session="dora") == [Refuse(b"d", b"dora", "busy", 2.0)]


def test_a_queue_full_of_bytes_is_busy() -> None:
    server = Server(Limits(queued_bytes=1500))
    server.worker(1)
    server.session("ann")
    server.frame("a")
    server.frame("b")
    assert server.frame("c") == [Refuse(b"c", b"ann", "busy", 0.1)]


def test_nobody_fills_the_queue_of_jobs_alone() -> None:
    server = Server(Limits(queued_requests=4))
    server.session("ann")
    server.session("bob")
    instructions = [server.job(f"j{number}") for number in range(3)]
    assert instructions[2] == [Refuse(b"j2", b"ann", "busy", 30.0)]
    assert server.job("k", session="bob") == [Wait(b"k", b"bob", 3)]


# The newest of a viewer


def test_a_newer_frame_of_a_viewer_supersedes_the_one_that_waits(server: Server) -> None:
    server.frame("a", viewer="left")
    server.frame("b", viewer="left")
    assert server.frame("c", viewer="left") == [AnswerCancelled(b"b", b"ann", "superseded"), Wait(b"c", b"ann", 1)]
    # The one that runs is finished: it is nearly done, and worth showing.
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann"), StartFrame(b"c", 1, 0.0, 1)]


def test_other_viewers_sessions_and_frames_without_a_viewer_are_not_superseded(server: Server) -> None:
    server.session("bob")
    server.session("running")
    server.frame("z", session="running")
    server.frame("a", viewer="left")
    for instructions in (
        server.frame("b", viewer="right"),
        server.frame("c"),
        server.frame("d", session="bob", viewer="left"),
        server.frame("e", session="bob"),
    ):
        assert [type(each) for each in instructions] == [Wait]


def test_superseding_returns_credit_before_it_is_asked_for(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    server.frame("c", viewer="left")
    assert server.frame("d", viewer="left")[0] == AnswerCancelled(b"c", b"ann", "superseded")


def test_a_refused_frame_supersedes_nothing() -> None:
    server = Server(Limits(interactive_bytes=2500))
    server.worker(1)
    server.session("ann")
    server.frame("a")
    server.frame("b", viewer="left")
    assert server.frame("c", viewer="left", bytes=2000) == [Refuse(b"c", b"ann", "credit")]
    assert started(server.ended("a")) == ["b"]


def test_a_viewer_that_scrubs_without_end_keeps_its_place_in_the_line(server: Server) -> None:
    server.session("wall", user="ann")
    server.frame("a")
    server.frame("s0", viewer="left")
    server.frame("w0", session="wall")
    server.frame("s1", viewer="left", style="chalk")
    assert started(server.ended("a")) == ["s1"]


def test_a_superseded_frame_is_not_tried_again_when_its_worker_dies(server: Server) -> None:
    server.frame("a", viewer="left")
    server.frame("b", viewer="left")
    assert server.lost(1) == [AnswerCancelled(b"a", b"ann", "superseded")]
    assert started(server.worker(2)) == ["b"]


# Deadlines


def test_a_frame_expires_while_it_waits(server: Server) -> None:
    server.frame("a")
    server.frame("b", deadline_s=2.0)
    assert server.scheduler.next_wake() == 102.0
    assert server.tell(Tick(), 101.9) == []
    assert server.tell(Tick(), 102.5) == [AnswerExpired(b"b", b"ann", 0.5)]
    assert started(server.ended("a")) == []


def test_a_frame_that_expires_while_it_runs_is_stopped_and_told_once(server: Server) -> None:
    server.frame("a", deadline_s=2.0)
    assert server.tell(Tick(), 102.0) == [Stop(b"a", 1)]
    assert server.tell(Tick(), 103.0) == []
    assert server.cancel("a") == []
    assert server.ended("a", outcome="stopped") == [AnswerExpired(b"a", b"ann", 1.0)]


def test_a_result_that_comes_after_the_stop_for_a_deadline_is_too_late(server: Server) -> None:
    server.frame("a", deadline_s=2.0)
    server.tell(Tick(), 102.0)
    server.now = 102.25
    assert server.ended("a") == [AnswerExpired(b"a", b"ann", 0.25)]


def test_what_has_expired_never_starts(server: Server) -> None:
    server.frame("a")
    server.frame("b", deadline_s=2.0)
    server.now = 102.0
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann"), AnswerExpired(b"b", b"ann", 0.0)]


def test_a_deadline_that_lost_its_meaning_wakes_nobody(server: Server) -> None:
    server.frame("a", deadline_s=2.0)
    server.ended("a")
    assert server.scheduler.next_wake() is None


# Cancelling


def test_a_cancel_in_the_queue_takes_effect_at_once(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    assert server.cancel("b") == [AnswerCancelled(b"b", b"ann", "asked")]
    assert server.cancel("b") == []


def test_a_cancel_of_a_running_frame_stops_it_first(server: Server) -> None:
    server.frame("a")
    assert server.cancel("a") == [Stop(b"a", 1)]
    assert server.cancel("a") == []
    assert server.ended("a", outcome="stopped") == [AnswerCancelled(b"a", b"ann", "asked")]


def test_a_result_that_came_before_the_stop_is_the_answer(server: Server) -> None:
    server.frame("a")
    server.cancel("a")
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]


def test_nobody_cancels_what_belongs_to_another_session(server: Server) -> None:
    server.session("bob")
    server.frame("a")
    server.frame("b")
    assert server.cancel("a", session="bob") == []
    assert server.cancel("b", session="bob") == []


def test_a_cancelled_frame_whose_worker_dies_is_cancelled(server: Server) -> None:
    server.frame("a")
    server.cancel("a")
    assert server.lost(1) == [AnswerCancelled(b"a", b"ann", "asked")]
    assert server.worker(2) == []


def test_a_closed_session_leaves_nothing_waiting_or_running(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    server.job("c")
    instructions = server.tell(SessionClosed(b"ann"))
    assert set(instructions) == {Stop(b"a", 1), AnswerCancelled(b"b", b"ann", "session"), Stop(b"c", 1)}
    assert server.ended("a", outcome="stopped") == [AnswerCancelled(b"a", b"ann", "session")]
    assert server.ended("c", outcome="stopped") == [AnswerCancelled(b"c", b"ann", "session")]
    assert server.scheduler.idle
    server.session("ann")


# Workers that die


def test_a_frame_is_tried_once_more_and_then_given_up(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    assert server.lost(1) == []
    assert server.worker(2) == [StartFrame(b"a", 2, 0.0, 2)]
    assert server.lost(2) == [Refuse(b"a", b"ann", "lost")]
    assert started(server.worker(3)) == ["b"]


def test_a_digest_that_killed_two_workers_is_in_quarantine_for_ten_minutes(server: Server) -> None:
    server.frame("a", digest=b"poison")
    server.lost(1)
    server.worker(2)
    server.lost(2)
    server.now += 60
    assert server.frame("b", digest=b"poison") == [Refuse(b"b", b"ann", "quarantined", 540.0)]
    assert server.scheduler.next_wake() == 700.0
    server.tell(Tick(), 700.0)
    assert [type(each) for each in server.frame("c", digest=b"poison")] == [Wait]


def test_what_waits_with_a_banned_digest_is_refused_too(server: Server) -> None:
    server.session("bob")
    server.frame("a", digest=b"poison")
    server.frame("b", session="bob", digest=b"poison")
    server.frame("c", session="bob")
    server.lost(1)
    server.worker(2)
    assert server.lost(2) == [Refuse(b"a", b"ann", "lost"), Refuse(b"b", b"bob", "quarantined", 600.0)]


def test_after_a_death_suspects_run_alone_so_that_the_innocent_is_cleared() -> None:
    server = Server()
    server.session("ann")
    server.worker(1, depth=2)
    server.frame("poison")
    server.frame("innocent")
    server.lost(1)
    assert started(server.worker(2, depth=2)) == ["poison"]
    assert server.lost(2) == [Refuse(b"poison", b"ann", "lost")]
    assert started(server.worker(3, depth=2)) == ["innocent"]
    assert server.ended("innocent", worker=3) == [ForwardAnswer(b"innocent", b"ann")]
    assert started(server.frame("again", digest=b"digest of innocent")) == ["again"]
    assert started(server.frame("beside")) == ["beside"]


def with_a_suspect_among_others() -> Server:
    """Frame `a` has killed worker 1 and waits; six frames of another user run on worker 2 or wait for it."""
    server = Server(Limits(interactive_frames=100))
    server.session("ann")
    server.session("bob")
    server.worker(1)
    server.worker(2, depth=2)
    server.frame("a")
    for number in range(6):
        server.frame(f"b{number}", session="bob")
    server.lost(1)
    return server


def test_a_suspect_is_not_held_up_by_a_stream_of_others() -> None:
    server = with_a_suspect_among_others()
    # The worker is kept free for it, and runs nothing beside it.
    assert started(server.ended("b0", 2)) == []
    assert started(server.ended("b1", 2)) == ["a"]
    assert started(server.ended("a", 2)) == ["b2", "b3"]


def test_a_worker_is_not_kept_free_for_a_suspect_that_was_cancelled() -> None:
    server = with_a_suspect_among_others()
    server.ended("b0", 2)
    assert server.cancel("a") == [AnswerCancelled(b"a", b"ann", "asked"), StartFrame(b"b2", 2, 0.0, 1)]


def test_jobs_that_only_read_are_not_blamed_when_a_frame_that_ran_alone_kills() -> None:
    server = Server()
    server.session("ann")
    server.worker(1, depth=2)
    server.job("shot")
    server.frame("poison")
    server.lost(1)
    instructions = server.worker(2, depth=2)
    assert started(instructions) == ["poison"]
    assert StartJob(b"shot", 2, 2) not in instructions
    instructions = server.lost(2)
    assert instructions == [Refuse(b"poison", b"ann", "lost")]
    assert server.worker(3) == [StartJob(b"shot", 3, 2)]


def test_a_hang_blames_only_the_frame_that_hung() -> None:
    server = Server()
    server.session("ann")
    server.worker(1, depth=2)
    server.frame("hangs")
    server.frame("moves")
    server.scheduler.progressed(b"moves", 150.0)
    assert server.scheduler.next_wake() == 160.0
    assert server.tell(Tick(), 160.0) == [KillWorker(1, 60.0)]
    assert server.tell(Tick(), 170.0) == []
    server.lost(1)
    server.worker(2, depth=2)
    server.lost(2)
    assert server.worker(3, depth=2)[0] == StartFrame(b"moves", 3, 0.0, 2)


def test_a_killed_worker_gets_no_more_work(server: Server) -> None:
    server.frame("a")
    server.tell(Tick(), 160.0)
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]
    assert started(server.frame("b")) == []
    assert server.lost(1) == []
    assert server.worker(2) == [StartFrame(b"b", 2, 0.0, 1)]


def test_patience_grows_with_the_usual_time_of_a_lane(server: Server) -> None:
    server.frame("a")
    server.scheduler.progressed(b"a", 118.0)
    server.now = 120.0
    server.ended("a")
    server.frame("b")
    assert server.scheduler.next_wake() == 120.0 + 10 * 20.0


def test_the_loss_of_an_idle_or_unknown_worker_blames_nothing(server: Server) -> None:
    assert server.lost(7) == []
    assert server.lost(1) == []
    assert server.scheduler.next_wake() is None


# Devices


def test_a_device_that_is_not_there_is_refused_at_once(server: Server) -> None:
    assert server.frame("a", device="cuda:1") == [Refuse(b"a", b"ann", "no_device")]
    assert server.job("b", device="mps") == [Refuse(b"b", b"ann", "no_device")]


def test_a_device_that_may_yet_be_found_is_waited_for() -> None:
    server = Server(devices=("auto",))
    server.session("ann")
    server.frame("a", device="cuda:0")
    server.frame("b", device="cuda:7")
    server.worker(1, "cpu")
    assert started(server.worker(2, "cuda:0")) == ["a"]
    assert server.scheduler.next_wake() == 130.0
    assert server.tell(Tick(), 130.0) == [Refuse(b"b", b"ann", "no_device")]


def test_a_device_is_refused_as_soon_as_it_is_known_that_there_is_none() -> None:
    server = Server(devices=("auto",))
    server.session("ann")
    for id, device in (("a", "cuda:1"), ("b", "cuda:7")):
        server.frame(id, device=device)
    server.job("c", device="mps")
    refused = [Refuse(id, b"ann", "no_device") for id in (b"b", b"c")]
    assert server.tell(WorkerReady(1, "cuda:0", 1, ("cuda:0", "cuda:1"))) == refused
    assert server.frame("d", device="cpu") == [Refuse(b"d", b"ann", "no_device")]
    assert started(server.worker(2, "cuda:1")) == ["a"]


def test_a_frame_runs_only_on_the_device_that_it_asks_for() -> None:
    server = Server(devices=("cpu", "cuda:0"))
    server.session("ann")
    server.worker(1, "cpu")
    assert started(server.frame("a", device="cuda:0")) == []
    assert server.worker(2, "cuda:0") == [StartFrame(b"a", 2, 0.0, 1)]
    assert [type(each) for each in server.frame("b", device="cuda")] == [Wait]
    assert server.frame("c", device="auto") == [StartFrame(b"c", 1, 0.0, 1)]


# Styles


def test_a_frame_goes_where_its_style_is_warm() -> None:
    server = Server(devices=("cuda:0", "cuda:1"))
    server.session("ann")
    server.worker(1, "cuda:0")
    server.worker(2, "cuda:1")
    assert server.frame("a", style="oil") == [StartFrame(b"a", 1, 0.0, 1)]
    assert server.frame("b", style="ink") == [StartFrame(b"b", 2, 0.0, 1)]
    server.ended("a", 1)
    server.ended("b", 2)
    assert server.frame("c", style="ink") == [StartFrame(b"c", 2, 0.0, 1)]
    # No worker stays idle for the sake of a style.
    assert server.frame("d", style="ink") == [StartFrame(b"d", 1, 0.0, 1)]


def run_styles(server: Server, step_s: float) -> list[str]:
    """The styles of a user who always has tasks of two waiting, in the order in which they are painted."""
    painted = []
    server.frame("0", style="oil")
    for number in range(1, 80):
        server.frame(str(number), style=("oil", "ink")[number % 2])
    running = "0"
    for _ in range(40):
        server.now += step_s
        running = started(server.ended(running))[0]
        painted.append(("oil", "ink")[int(running) % 2])
    return painted


def test_a_style_is_not_changed_for_every_frame_but_after_16_at_most() -> None:
    server = Server(Limits(interactive_frames=100))
    server.worker(1)
    server.session("ann")
    painted = run_styles(server, 0.01)
    changes = sum(one != other for one, other in pairwise(painted))
    assert 1 <= changes <= 4


def test_an_older_frame_is_overtaken_for_two_seconds_at_most() -> None:
    server = Server(Limits(interactive_frames=100))
    server.worker(1)
    server.session("ann")
    painted = run_styles(server, 1.0)
    assert "oil" in painted[:4]
    assert "ink" in painted[:4]


# Shot jobs


def test_a_job_paints_when_it_holds_a_slot(server: Server) -> None:
    assert server.job("shot") == [StartJob(b"shot", 1, 1)]
    assert server.frame("a") == [StartFrame(b"a", 1, 0.0, 1)]
    assert server.wants("shot", 0) == []
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann"), GrantTurn(b"shot", 0, 1)]
    assert server.wants("shot", 1) == []
    assert server.tell(TurnEnded(b"shot", 0)) == [GrantTurn(b"shot", 1, 1)]
    assert server.tell(TurnEnded(b"shot", 1)) == []
    assert server.ended("shot") == [ForwardAnswer(b"shot", b"ann")]
    assert server.scheduler.idle


def test_a_job_that_reads_keeps_nobody_from_painting(server: Server) -> None:
    server.job("shot")
    assert started(server.frame("a")) == ["a"]


def test_a_slot_that_was_given_up_before_it_was_granted_is_not_granted(server: Server) -> None:
    server.job("shot")
    server.frame("a")
    server.wants("shot", 0)
    server.tell(TurnEnded(b"shot", 0))
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]


def test_a_stopped_job_is_granted_no_slot_any_more(server: Server) -> None:
    server.job("shot")
    server.frame("a")
    server.wants("shot", 0)
    assert server.cancel("shot") == [Stop(b"shot", 1)]
    assert server.wants("shot", 1) == []
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann")]
    assert server.ended("shot", outcome="stopped") == [AnswerCancelled(b"shot", b"ann", "asked")]


def test_a_worker_has_two_jobs_open_and_the_third_waits(server: Server) -> None:
    server.job("a")
    server.job("b")
    assert server.job("c") == [Wait(b"c", b"ann", 1)]
    assert server.ended("a") == [ForwardAnswer(b"a", b"ann"), StartJob(b"c", 1, 1)]


def test_jobs_go_where_the_fewest_are() -> None:
    server = Server()
    server.session("ann")
    server.worker(1)
    server.worker(2)
    places = [server.job(id)[0] for id in "abcd"]
    assert [each.worker for each in places] == [1, 2, 1, 2]


def test_a_user_without_a_job_never_waits_for_anothers_whole_shot(server: Server) -> None:
    server.session("bob")
    for id in "abc":
        server.job(id)
    assert server.job("bobs", session="bob") == [StartJob(b"bobs", 1, 1)]
    assert server.job("more", session="bob") == [Wait(b"more", b"bob", 2)]
    server.ended("a")
    # Ann has one open, bob one: the one who came first is next.
    assert server.ended("b") == [ForwardAnswer(b"b", b"ann"), StartJob(b"c", 1, 1)]


def test_a_job_whose_worker_dies_is_resumed(server: Server) -> None:
    server.job("shot")
    server.wants("shot", 0)
    assert server.lost(1) == []
    assert server.worker(2) == [StartJob(b"shot", 2, 2)]
    assert server.wants("shot", 0) == [GrantTurn(b"shot", 0, 2)]


def test_two_deaths_without_progress_quarantine_a_job(server: Server) -> None:
    server.job("shot", digest=b"poison")
    server.lost(1)
    server.worker(2)
    assert server.lost(2) == [Refuse(b"shot", b"ann", "quarantined", 600.0)]
    assert server.job("again", digest=b"poison") == [Refuse(b"again", b"ann", "quarantined", 600.0)]


def test_progress_of_a_job_forgives_an_earlier_death(server: Server) -> None:
    server.job("shot")
    for number in range(1, 6):
        server.tell(JobProgressed(b"shot"))
        server.lost(number)
        assert server.worker(number + 1) == [StartJob(b"shot", number + 1, number + 1)]


def test_a_suspect_job_paints_alone_until_it_makes_progress() -> None:
    server = Server()
    server.session("ann")
    server.worker(1, depth=2)
    server.job("shot")
    server.wants("shot", 0)
    server.lost(1)
    server.worker(2, depth=2)
    server.wants("shot", 0)
    assert started(server.frame("a")) == []
    assert started(server.tell(JobProgressed(b"shot"))) == ["a"]


def test_a_job_that_reads_slowly_is_not_taken_as_hung(server: Server) -> None:
    server.job("shot")
    assert server.scheduler.next_wake() is None
    server.wants("shot", 0)
    assert server.scheduler.next_wake() == 160.0


# Leaving


def test_draining_takes_nothing_new_and_finishes_what_is_there(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    server.tell(Draining(at_once=False))
    assert server.frame("c") == [Refuse(b"c", b"ann", "draining")]
    assert started(server.ended("a")) == ["b"]
    server.ended("b")
    assert server.scheduler.idle


def test_leaving_at_once_drops_what_waits_and_stops_what_runs(server: Server) -> None:
    server.frame("a")
    server.frame("b")
    server.tell(Draining(at_once=False))
    instructions = server.tell(Draining(at_once=True))
    assert instructions == [Stop(b"a", 1), AnswerCancelled(b"b", b"ann", "shutdown")]
    assert server.ended("a", outcome="stopped") == [AnswerCancelled(b"a", b"ann", "shutdown")]


# Shares over time


@dataclass
class Client:
    """Keeps `ahead` frames under way in a session of its own, or with `every_s` asks for one at that interval."""

    name: str
    user: str
    lane: str
    seconds: float
    megapixels: float = 2.0
    ahead: int = 3
    every_s: float | None = None
    begins_s: float = 0.0


@dataclass
class Run:
    tasks: list[tuple[Client, float, float, float]] = field(default_factory=list)
    """Who, when asked, when started, when ended."""

    def served(self, of: Callable[[Client], bool], since: float, until: float) -> float:
        """Seconds of tasks within a span."""
        return sum(max(0.0, min(end, until) - max(start, since)) for who, _, start, end in self.tasks if of(who))


def simulate(clients: list[Client], seconds: float, *, depth: int = 1) -> Run:
    """Let clients ask and a worker paint, each task for as long as its client says."""
    server, run = Server(now=0.0), Run()
    server.worker(1, depth=depth)
    ids = count()
    asked: dict[str, tuple[Client, float]] = {}
    began: dict[str, float] = {}
    agenda: list[tuple[float, int, Client | str]] = []

    def submit(client: Client) -> None:
        id = str(next(ids))
        asked[id] = client, server.now
        carry_out(server.frame(id, client.name, lane=client.lane, megapixels=client.megapixels))

    def carry_out(instructions: list[Instruction]) -> None:
        assert not any(isinstance(each, Refuse) for each in instructions)
        for id in started(instructions):
            began[id] = server.now
            heapq.heappush(agenda, (server.now + asked[id][0].seconds, next(ids), id))

    for client in clients:
        server.session(client.name, client.user, client.lane)
        for _ in range(1 if client.every_s is not None else client.ahead):
            heapq.heappush(agenda, (client.begins_s, next(ids), client))
    while agenda and agenda[0][0] < seconds:
        server.now, _, what = heapq.heappop(agenda)
        if isinstance(what, Client):
            submit(what)
            if what.every_s is not None:
                heapq.heappush(agenda, (server.now + what.every_s, next(ids), what))
            continue
        client, when = asked.pop(what)
        run.tasks.append((client, when, began.pop(what), server.now))
        carry_out(server.ended(what))
        if client.every_s is None:
            submit(client)
    return run


def is_batch(client: Client) -> bool:
    return client.lane == "batch"


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("interactive_s", "batch_s"), [(0.06, 0.06), (0.02, 0.2), (0.25, 0.1)])
def test_batch_keeps_its_share_of_any_ten_seconds(depth: int, interactive_s: float, batch_s: float) -> None:
    clients = [Client(f"i{n}", f"i{n}", "interactive", interactive_s) for n in range(8)]
    clients += [Client(f"b{n}", f"b{n}", "batch", batch_s, ahead=8) for n in range(2)]
    run = simulate(clients, 60.0, depth=depth)
    for since in range(0, 490, 7):
        share = run.served(is_batch, since / 10, since / 10 + 10) / (10 * depth)
        assert share >= 0.15 - batch_s / 10
        assert share <= 0.15 / 0.9 + 2 * batch_s / 10
    assert run.served(is_batch, 0.0, 50.0) >= 0.15 * 50 * depth


def test_what_batch_ran_alone_does_not_cost_it_its_share_afterwards() -> None:
    late = [Client(f"i{n}", f"i{n}", "interactive", 0.05, begins_s=60.0) for n in range(4)]
    run = simulate([Client("b", "b", "batch", 0.1, ahead=8), *late], 80.0)
    assert run.served(is_batch, 0.0, 60.0) == pytest.approx(60.0, abs=0.2)
    assert run.served(is_batch, 60.0, 61.0) <= 0.2
    assert run.served(is_batch, 60.0, 70.0) >= 1.4


@pytest.mark.parametrize("depth", [1, 2])
def test_an_interactive_frame_waits_for_one_frame_at_most_when_batch_saturates(depth: int) -> None:
    clients = [Client(f"b{n}", f"b{n}", "batch", 0.1, ahead=8) for n in range(8)]
    clients += [Client("artist", "artist", "interactive", 0.03, every_s=0.137)]
    run = simulate(clients, 60.0, depth=depth)
    waits = sorted(start - asked for who, asked, start, _ in run.tasks if not is_batch(who))
    assert len(waits) > 400
    assert waits[int(0.95 * len(waits))] <= 0.1 + 0.02


def test_equal_users_are_served_alike_whatever_the_size_of_their_frames() -> None:
    sizes = {"small": 0.5, "hd": 2.0, "4k": 8.3}
    clients = [Client(name, name, "interactive", mp / 20, mp) for name, mp in sizes.items()]
    run = simulate(clients, 30.0)
    served = Counter()
    for who, _, _, _ in run.tasks:
        served[who.name] += who.megapixels
    assert max(served.values()) <= 1.1 * min(served.values())


def test_sixteen_connections_of_one_user_gain_nothing() -> None:
    clients = [Client(f"greedy{n}", "greedy", "interactive", 0.04) for n in range(16)]
    clients += [Client(name, name, "interactive", 0.04) for name in ("ann", "bob")]
    run = simulate(clients, 30.0)
    served = Counter(who.user for who, _, _, _ in run.tasks)
    assert served["greedy"] <= 1.05 * sum(served.values()) / 3


def test_the_jobs_of_one_user_do_not_starve_the_frames_of_another() -> None:
    server = Server(Limits(batch_frames=100))
    server.worker(1)
    server.session("ann", lane="batch")
    server.session("bob", lane="batch")
    server.job("shot")
    server.wants("shot", 0)
    for number in range(20):
        server.frame(f"f{number}", session="bob", lane="batch")
    granted = 0
    running: Instruction = GrantTurn(b"shot", 0, 1)
    for task in range(1, 21):
        server.wants("shot", task)
        ended = (
            TurnEnded(b"shot", running.number) if isinstance(running, GrantTurn) else WorkEnded(running.id, 1, "done")
        )
        running = next(each for each in server.tell(ended) if isinstance(each, GrantTurn | StartFrame))
        granted += isinstance(running, GrantTurn)
    assert 9 <= granted <= 11


def test_a_hundred_times_too_much_is_answered_and_forgotten() -> None:
    server = Server()
    server.worker(1)
    terminals: Counter[bytes] = Counter()
    for number in range(64):
        server.session(f"s{number}", user=f"u{number % 16}")
    for number in range(6400):
        for each in server.frame(f"f{number}", session=f"s{number % 64}"):
            terminals[each.id] += isinstance(each, TERMINAL)
    running = "f0"
    while not server.scheduler.idle:
        instructions = server.ended(running)
        for each in instructions:
            terminals[each.id] += isinstance(each, TERMINAL)
        running = next(iter(started(instructions)), "")
    assert len(terminals) == 6400
    assert set(terminals.values()) == {1}


def test_a_frame_that_has_to_run_alone_takes_the_first_idle_worker(server: Server) -> None:
    server.frame("innocent")
    server.worker(2)
    server.frame("a", digest=b"bad")
    server.lost(2)
    assert started(server.worker(3, depth=2)) == ["a"]
    server.frame("b", digest=b"bad")
    assert started(server.worker(4, depth=2)) == ["b"]
