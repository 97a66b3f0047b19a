"""Live frames asked of a server that is a list: what is asked, what is dropped, what a render waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.core.errors import DeadlineExpired, ServerUnreachable, UnknownName
from impasto.hosts.blender.live.frames import LiveFrames, LiveLook, settled
from impasto.hosts.blender.live.requests import AGAIN_S, FrameOrder, LiveRequests, RenderWait, Told
from impasto.server.client.futures import ShotFuture
from impasto.server.protocol.messages import ShotDone, ShotProgress, SubmitShot

EXR = b"\x76\x2f\x31\x01"
LOOK = LiveLook("/plates/p.####.exr", "stamp", "wheatfield", "sha", settled([{"strength": 0.3, "stroke": 2.0}]))
WAIT_S = 5.0


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """The part of a client that live frames use. It paints nothing by itself."""

    def __init__(self, frames: LiveFrames) -> None:
        self.frames = frames
        self.asked: queue.Queue[tuple[SubmitShot, ShotFuture]] = queue.Queue()
        self.cancelled: list[tuple[int | None, int | None]] = []
        self.away: Exception | None = None

    def submit_shot(self, request: SubmitShot, *, timeout_s: float | None = None) -> ShotFuture:
        if self.away is not None:
            raise self.away
        future = ShotFuture(request.id, lambda id: self.cancelled.append((request.first, request.last)))
        self.asked.put((request, future))
        return future

    def next(self) -> tuple[SubmitShot, ShotFuture]:
        return self.asked.get(timeout=WAIT_S)

    def paint(self, request: SubmitShot, future: ShotFuture) -> None:
        """Store every frame of a request, and end it."""
        assert request.first is not None
        assert request.last is not None
        self.frames.folder.mkdir(exist_ok=True)
        for number in range(request.first, request.last + 1):
            self.frames.path_of(number).write_bytes(EXR)
        future.add_event(ShotProgress(request.id))
        future.set_result(ShotDone(request.id, request.output, 1, 0, 0, 0.1))
        future.add_event(None)


@pytest.fixture
def frames(tmp_path: Path) -> LiveFrames:
    return LiveFrames(tmp_path / "look")


@pytest.fixture
def server(frames: LiveFrames) -> Server:
    return Server(frames)


@pytest.fixture
def told() -> queue.Queue[Told]:
    return queue.Queue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(server: Server, told: queue.Queue[Told], clock: Clock) -> Any:
    found = LiveRequests(lambda: server, told.put, clock)  # type: ignore[arg-type, return-value]
    yield found
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "impasto-live"]


@pytest.fixture
def order(frames: LiveFrames) -> Callable[..., FrameOrder]:
    return lambda first, last=None: FrameOrder(LOOK, frames, first, first if last is None else last)


def test_an_order_asks_for_the_whole_style_in_the_interactive_lane(
    requests: LiveRequests, server: Server, order: Callable[..., FrameOrder]
) -> None:
    requests.ask("a", order(3))
    request, _ = server.next()
    assert (request.first, request.last, request.lane, request.resume) == (3, 3, "interactive", True)
    assert (request.input, request.output) == (LOOK.input, order(3).frames.pattern)
    assert request.look.params == {"strength": 1.0, "stroke": 2.0}


def test_the_latest_place_of_the_playhead_wins(
    requests: LiveRequests, server: Server, told: queue.Queue[Told], order: Callable[..., FrameOrder]
) -> None:
    requests.ask("a", order(1))
    first = server.next()
    requests.ask("a", order(2))
    second = server.next()
    assert server.cancelled == [(1, 1)]
    server.paint(*first)  # too late to be stopped: its frame is good, and is told
    server.paint(*second)
    assert {told.get(timeout=WAIT_S).order.first for _ in range(2)} == {1, 2}
    assert requests.idle


def test_viewers_do_not_disturb_each_other(
    requests: LiveRequests, server: Server, order: Callable[..., FrameOrder]
) -> None:
    requests.ask("a", order(1))
    requests.ask("b", order(2))
    assert {server.next()[0].first, server.next()[0].first} == {1, 2}
    assert server.cancelled == []


def test_the_same_order_is_sent_once(requests: LiveRequests, server: Server, order: Callable[..., FrameOrder]) -> None:
    assert requests.ask("a", order(1))
    server.next()
    assert not requests.ask("a", order(1))
    assert server.asked.empty()


def test_what_failed_is_told_and_asked_again_only_after_a_while(
    requests: LiveRequests, server: Server, told: queue.Queue[Told], clock: Clock, order: Callable[..., FrameOrder]
) -> None:
    server.away = ServerUnreachable("expected a server, none runs")
    requests.ask("a", order(1))
    assert str(told.get(timeout=WAIT_S).error) == "expected a server, none runs"
    assert not requests.ask("a", order(1))
    assert requests.ask("a", order(2)), "another frame is another question"
    told.get(timeout=WAIT_S)
    server.away = None
    clock.now += AGAIN_S
    assert requests.ask("a", order(2))
    assert server.next()[0].first == 2


def test_what_is_dropped_is_taken_back_and_not_told(
    requests: LiveRequests, server: Server, told: queue.Queue[Told], order: Callable[..., FrameOrder]
) -> None:
    requests.ask("a", order(1))
    _, future = server.next()
    requests.ask("b", order(2))
    server.next()  # the thread has dealt with the first by now
    requests.drop("a")
    assert server.cancelled == [(1, 1)]
    future.set_exception(ServerUnreachable("gone"))
    assert told.empty()


def wait_for(server: Server, frames: LiveFrames, wait: RenderWait, number: int, *, budget_s: float = WAIT_S) -> None:
    wait.frame("a", LOOK, frames, number, 20, budget_s)


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
    wait.drop()
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
