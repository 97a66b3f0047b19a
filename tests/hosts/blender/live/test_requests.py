"""Live frames asked of a server that is a list: what is asked, what is cancelled, what a render waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.core.errors import DeadlineExpired, ServerUnreachable, UnknownName
from impasto.hosts.blender.live.frames import LiveFrames, LivePlate, LiveStrip
from impasto.hosts.blender.live.requests import AGAIN_S, LiveOutcome, LiveRequest, LiveRequests, RenderWait
from impasto.hosts.blender.look.look import Look
from impasto.server.client.futures import ShotFuture
from impasto.server.protocol.messages import ShotDone, ShotJob, ShotProgress

EXR = b"\x76\x2f\x31\x01"
PLATE = LivePlate("/plates/p.####.exr", first=1, count=20, begins=1, shown_from=1, shown_to=20)
LOOK = Look("wheatfield", {"strength": 0.3, "stroke": 2.0}, "sha").at_full_strength()
WAIT_S = 5.0

ID = b"i" * 16


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """The part of a client that live frames use. It paints nothing by itself."""

    def __init__(self, frames: LiveFrames) -> None:
        self.frames = frames
        self.asked: queue.Queue[tuple[ShotJob, ShotFuture]] = queue.Queue()
        self.cancelled: list[tuple[int | None, int | None]] = []
        self.away: Exception | None = None

    def submit_shot(self, job: ShotJob, *, timeout_s: float | None = None) -> ShotFuture:
        if self.away is not None:
            raise self.away
        future = ShotFuture(ID, lambda id: self.cancelled.append((job.first, job.last)))
        self.asked.put((job, future))
        return future

    def next(self) -> tuple[ShotJob, ShotFuture]:
        return self.asked.get(timeout=WAIT_S)

    def paint(self, job: ShotJob, future: ShotFuture) -> None:
        """Store every frame of a job, and end it."""
        assert job.first is not None
        assert job.last is not None
        self.frames.folder.mkdir(exist_ok=True)
        for number in range(job.first, job.last + 1):
            self.frames.path_of(number).write_bytes(EXR)
        future.add_event(ShotProgress(ID))
        future.set_result(ShotDone(ID, job.output, 1, 0, 0, 0.1))
        future.add_event(None)


@pytest.fixture
def frames(tmp_path: Path) -> LiveFrames:
    return LiveFrames(tmp_path / "look")


@pytest.fixture
def server(frames: LiveFrames) -> Server:
    return Server(frames)


@pytest.fixture
def outcomes() -> queue.Queue[LiveOutcome]:
    return queue.Queue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(server: Server, outcomes: queue.Queue[LiveOutcome], clock: Clock) -> Any:
    found = LiveRequests(lambda: server, outcomes.put, clock)  # type: ignore[arg-type, return-value]
    yield found
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "impasto-live"]


@pytest.fixture
def asked(frames: LiveFrames) -> Callable[..., LiveRequest]:
    return lambda viewer, first: LiveRequest(LiveStrip(viewer, PLATE, LOOK, frames), first, first)


def test_a_request_asks_for_the_whole_style_in_the_interactive_lane(
    requests: LiveRequests, server: Server, asked: Callable[..., LiveRequest]
) -> None:
    requests.submit(asked("a", 3))
    request, _ = server.next()
    assert (request.first, request.last, request.lane, request.resume) == (3, 3, "interactive", True)
    assert (request.input, request.output) == (PLATE.input, asked("a", 3).strip.frames.pattern)
    assert request.look.params == {"strength": 1.0, "stroke": 2.0}


def test_the_latest_place_of_the_playhead_wins(
    requests: LiveRequests, server: Server, outcomes: queue.Queue[LiveOutcome], asked: Callable[..., LiveRequest]
) -> None:
    requests.submit(asked("a", 1))
    first = server.next()
    requests.submit(asked("a", 2))
    second = server.next()
    assert server.cancelled == [(1, 1)]
    server.paint(*first)  # too late to be stopped: its frame is good, and is reported
    server.paint(*second)
    assert {outcomes.get(timeout=WAIT_S).request.first for _ in range(2)} == {1, 2}
    assert requests.idle


def test_viewers_do_not_disturb_each_other(
    requests: LiveRequests, server: Server, asked: Callable[..., LiveRequest]
) -> None:
    requests.submit(asked("a", 1))
    requests.submit(asked("b", 2))
    assert {server.next()[0].first, server.next()[0].first} == {1, 2}
    assert server.cancelled == []


def test_the_same_request_is_sent_once(
    requests: LiveRequests, server: Server, asked: Callable[..., LiveRequest]
) -> None:
    assert requests.submit(asked("a", 1))
    server.next()
    assert not requests.submit(asked("a", 1))
    assert server.asked.empty()


def test_what_failed_is_reported_and_asked_again_only_after_a_while(
    requests: LiveRequests,
    server: Server,
    outcomes: queue.Queue[LiveOutcome],
    clock: Clock,
    asked: Callable[..., LiveRequest],
) -> None:
    server.away = ServerUnreachable("expected a server, none runs")
    requests.submit(asked("a", 1))
    assert str(outcomes.get(timeout=WAIT_S).error) == "expected a server, none runs"
    assert not requests.submit(asked("a", 1))
    assert requests.submit(asked("a", 2)), "another frame is another question"
    outcomes.get(timeout=WAIT_S)
    server.away = None
    clock.now += AGAIN_S
    assert requests.submit(asked("a", 2))
    assert server.next()[0].first == 2


def test_what_is_cancelled_is_taken_back_and_not_reported(
    requests: LiveRequests, server: Server, outcomes: queue.Queue[LiveOutcome], asked: Callable[..., LiveRequest]
) -> None:
    requests.submit(asked("a", 1))
    _, future = server.next()
    requests.submit(asked("b", 2))
    server.next()  # the thread has dealt with the first by now
    requests.cancel("a")
    assert server.cancelled == [(1, 1)]
    future.set_exception(ServerUnreachable("gone"))
    assert outcomes.empty()


def wait_for(server: Server, frames: LiveFrames, wait: RenderWait, number: int, *, budget_s: float = WAIT_S) -> None:
    wait.frame(LiveStrip("a", PLATE, LOOK, frames), number, 20, budget_s)


def test_a_render_waits_for_its_frame_and_asks_for_those_behind_it(server: Server, frames: LiveFrames) -> None:
    wait = RenderWait(lambda left_s: server)  # type: ignore[arg-type, return-value]
    helper = threading.Thread(target=lambda: server.paint(*server.next()))
    helper.start()
    wait_for(server, frames, wait, 1)
    helper.join(WAIT_S)
    wait_for(server, frames, wait, 8)
    assert server.asked.empty(), "frames 1 to 8 came of one request"


def test_a_frame_that_is_there_asks_for_nothing(server: Server, frames: LiveFrames) -> None:
    frames.folder.mkdir()
    frames.path_of(4).write_bytes(EXR)
    wait_for(server, frames, RenderWait(lambda left_s: server), 4)  # type: ignore[arg-type, return-value]
    assert server.asked.empty()


def test_a_render_waits_no_longer_than_its_budget_and_takes_back_what_is_under_way(
    server: Server, frames: LiveFrames
) -> None:
    wait = RenderWait(lambda left_s: server)  # type: ignore[arg-type, return-value]
    with pytest.raises(DeadlineExpired, match=r"expected frame 1 .* within 0\.1 s"):
        wait_for(server, frames, wait, 1, budget_s=0.1)
    wait.cancel()
    assert server.cancelled == [(1, 8)]


def test_a_render_that_never_finds_a_server_says_why(server: Server, frames: LiveFrames) -> None:
    server.away = ServerUnreachable("none runs")
    with pytest.raises(DeadlineExpired, match="none runs"):
        wait_for(server, frames, RenderWait(lambda left_s: server), 1, budget_s=0.1)  # type: ignore[arg-type, return-value]


def test_what_another_attempt_would_not_mend_ends_the_waiting_at_once(server: Server, frames: LiveFrames) -> None:
    server.away = UnknownName("style", "x", [])
    with pytest.raises(UnknownName):
        wait_for(server, frames, RenderWait(lambda left_s: server), 1)  # type: ignore[arg-type, return-value]


def test_a_render_that_loses_its_server_asks_the_next_one(server: Server, frames: LiveFrames) -> None:
    wait = RenderWait(lambda left_s: server)  # type: ignore[arg-type, return-value]

    def lose_then_paint() -> None:
        _, lost = server.next()
        lost.set_exception(ServerUnreachable("gone"))
        lost.add_event(None)
        server.paint(*server.next())

    helper = threading.Thread(target=lose_then_paint)
    helper.start()
    wait_for(server, frames, wait, 1)
    helper.join(WAIT_S)
    assert frames.has(1)
