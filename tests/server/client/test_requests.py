"""Connections that are lost: frames end with an error at once, shots go on."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import RequestCancelled, ServerError, ServerUnreachable, StyleError
from impasto.server.client.session import MISSED_PONGS
from impasto.server.protocol import messages
from impasto.server.protocol.messages import Failed, RenderSettings, ShotJob, ShotProgress, ShotStarted, SubmitShot
from tests.plates import noise
from tests.server.scripted_server import LIMIT_S
from tests.server.scripted_transport import Stage
from tests.waiting import until

PLATE = noise(6, 10, 4)


def shot(style: str = "echo") -> ShotJob:
    return ShotJob(RenderSettings(style), "/in.####.exr", "/out.####.exr")


def test_a_frame_whose_connection_is_lost_fails_at_once_and_the_next_one_connects_again(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    until(lambda: stage.script.held)
    stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable, match="sent again"):
        future.result(LIMIT_S)
    assert np.array_equal(stage.client.submit(PLATE + 1, style="echo").result(LIMIT_S).pixels, PLATE + 1)
    assert len(stage.script.seen_of(messages.Submit)) == 2


def test_a_session_that_lost_frames_is_replaced_because_its_server_may_still_paint_into_the_ring(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    until(lambda: stage.script.held)
    stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)
    assert np.array_equal(stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels, PLATE)
    assert stage.script.seen_of(messages.Hello)[-1].resume is None
    assert stage.script.seen_of(messages.Hello)[-1].replaces == stage.script.sessions[0]
    assert len(stage.script.opened) == 2


def test_a_session_without_frames_is_resumed_with_its_ring(stage: Stage) -> None:
    stage.client.submit(PLATE, style="echo").result(LIMIT_S).release()
    stage.transports[-1].lose()
    until(lambda: stage.transports[-1].closed.is_set())
    assert np.array_equal(stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels, PLATE)
    assert stage.script.seen_of(messages.Hello)[-1].resume == stage.script.sessions[0]
    assert len(stage.script.opened) == 1


def test_frames_of_a_lost_session_leave_those_of_the_next_alone(stage: Stage) -> None:
    futures = [stage.client.submit(PLATE, style="hold") for _ in range(3)]
    second: list[Any] = []
    futures[0].add_done_callback(lambda _: second.append(stage.client.submit(PLATE, style="hold")))
    until(lambda: len(stage.script.held) == 3)
    stage.transports[-1].lose()
    for future in futures:
        assert isinstance(future.exception(LIMIT_S), ServerUnreachable)
    until(lambda: second)
    stage.release()
    assert np.array_equal(second[0].result(LIMIT_S).pixels, PLATE)


def test_frames_of_a_server_that_is_gone_fail_at_once_with_the_end_of_its_log(stage: Stage) -> None:
    futures = [stage.client.submit(PLATE, style="hold") for _ in range(2)]
    stage.address.gone = True
    begun = time.monotonic()
    stage.transports[-1].lose()
    for future in futures:
        with pytest.raises(
            ServerUnreachable, match=rf"\(process {os.getpid()}\); the last line of its log; .*sent again"
        ):
            future.result(LIMIT_S)
    assert time.monotonic() - begun < 2


def test_frames_fail_when_another_server_has_taken_the_place(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    until(lambda: stage.script.held)
    stage.script.boot, stage.script.resumes = os.urandom(16), False
    stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)
    assert np.array_equal(stage.client.submit(PLATE, style="echo").result(LIMIT_S).pixels, PLATE)
    assert len(stage.script.opened) == 2


def test_the_next_call_after_a_loss_connects_again(stage: Stage) -> None:
    stage.client.ping()
    stage.transports[-1].lose()
    until(lambda: stage.transports[-1].closed.is_set())
    assert stage.client.ping() < LIMIT_S
    assert len(stage.transports) == 2


def test_a_server_that_falls_silent_is_lost_after_a_few_pings() -> None:
    stage = Stage(heartbeat_s=0.1)
    future = stage.client.submit(PLATE, style="hold")
    until(lambda: stage.script.held)
    stage.address.gone = stage.script.silent = True
    with pytest.raises(ServerUnreachable, match="has not answered for"):
        future.result(LIMIT_S)
    assert len(stage.script.seen_of(messages.Ping)) >= MISSED_PONGS
    stage.close()


def test_what_breaks_the_rules_of_the_wire_ends_the_connection(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    until(lambda: stage.script.held)
    stage.address.gone = True
    session = stage.client._requests._session
    assert session is not None
    stage.transports[-1].push(lambda: session.heard("data", [b"IMPA", b"\xc1"]))
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)


def test_a_terminal_message_that_comes_twice_or_for_nobody_is_dropped(stage: Stage) -> None:
    stage.client.submit(PLATE, style="echo").result(LIMIT_S).release()
    done = messages.Done(stage.script.seen_of(messages.Submit)[0].id, {})
    stage.transports[-1].push(lambda: stage.script.say("data", done, ()))
    stage.transports[-1].push(lambda: stage.script.say("data", messages.Done(os.urandom(16), {}), ()))
    assert stage.client.ping() < LIMIT_S
    for _ in range(4):
        stage.client.submit(PLATE, style="echo", timeout_s=1.0).result(LIMIT_S).release()


def test_a_shot_tells_its_frames_in_the_calling_thread(stage: Stage) -> None:
    events: list[Any] = []
    done = stage.client.render_shot(shot(), events.append)
    assert isinstance(events[0], ShotStarted)
    assert [each.number for event in events[1:] for each in event.stored] == list(range(1, 11))
    assert (done.path, done.rendered, done.skipped) == ("/out.####.exr", 10, 0)


def test_a_cancelled_shot_says_where_its_frames_are(stage: Stage) -> None:
    events: list[Any] = []
    begun = time.monotonic()
    with pytest.raises(RequestCancelled):
        stage.client.render_shot(shot("hold"), events.append, lambda: bool(events))
    assert isinstance(events[-1], messages.Cancelled)
    assert (events[-1].path, events[-1].rendered) == ("/out/part", 3)
    assert time.monotonic() - begun < 2


def test_a_failed_shot_raises_its_error_after_it_has_said_where_its_frames_are(stage: Stage) -> None:
    events: list[Any] = []
    with pytest.raises(StyleError):
        stage.client.render_shot(shot("fail"), events.append)
    assert isinstance(events[-1], Failed)
    assert events[-1].path == "/out/part"


def test_a_caller_that_leaves_a_shot_by_an_exception_cancels_it(stage: Stage) -> None:
    def stumble(event: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stage.client.render_shot(shot("hold"), stumble)
    until(lambda: stage.script.seen_of(messages.Cancel))


def test_a_shot_goes_on_with_the_same_server_without_being_started_again(stage: Stage) -> None:
    events: list[Any] = []

    def heard(event: Any) -> None:
        events.append(event)
        if len(events) == 1:
            stage.transports[-1].lose()
        elif len(events) == 2:
            stage.script.held_shots.clear()
            done = messages.ShotDone(event.id, "/out", 10, 0, 0, 0.1)
            stage.transports[-1].push(lambda: stage.script.say("data", done, ()))

    assert stage.client.render_shot(shot("hold"), heard).rendered == 10
    assert not any(message.job.resume for message in stage.script.seen_of(SubmitShot))


def test_what_a_resumed_session_says_before_the_shot_is_posted_again_is_told(stage: Stage) -> None:
    request = shot("hold")
    frames = [messages.StoredFrame(number, f"/out.{number}", number, 0) for number in (1, 2)]
    answer = stage.script._answer

    def joined(channel: Any, message: Any, parts: Any) -> None:
        answer(channel, message, parts)
        if isinstance(message, messages.Join) and len(stage.transports) == 2:
            id = stage.script.seen_of(SubmitShot)[0].id
            for frame in frames:
                stage.script.say("data", ShotProgress(id, (frame,)), ())
            stage.script.say("data", messages.ShotDone(id, "/out", 2, 0, 0, 0.1), ())

    stage.script._answer = joined  # type: ignore[method-assign]
    events: list[Any] = []

    def heard(event: Any) -> None:
        events.append(event)
        if len(events) == 1:
            stage.transports[-1].lose()

    assert stage.client.render_shot(request, heard).rendered == 2
    assert [each.number for event in events[1:] for each in event.stored] == [1, 2]
    assert len(stage.script.seen_of(SubmitShot)) == 1


def test_a_shot_is_resumed_on_a_new_server_and_counted_over_both(stage: Stage) -> None:
    events: list[Any] = []

    def heard(event: Any) -> None:
        events.append(event)
        if isinstance(event, ShotStarted) and len(events) == 1:
            stored = tuple(messages.StoredFrame(number, f"/out.{number}", number, 0) for number in range(1, 5))
            stage.transports[-1].push(lambda: stage.script.say("data", ShotProgress(event.id, stored), ()))
        elif isinstance(event, ShotProgress) and len(events) == 2:
            stage.script.boot, stage.script.resumes = os.urandom(16), False
            stage.transports[-1].lose()

    original = stage.script._shot

    def again(asked: SubmitShot) -> None:
        if asked.job.resume:
            asked = replace(asked, job=replace(asked.job, look=RenderSettings("echo")))
        original(asked)

    stage.script._shot = again  # type: ignore[method-assign]
    done = stage.client.render_shot(shot("hold"), heard)
    assert [message.job.resume for message in stage.script.seen_of(SubmitShot)] == [False, True]
    told = [each for event in events if isinstance(event, ShotProgress) for each in event.stored]
    assert [each.number for each in told] == [each.done for each in told] == list(range(1, 11))
    assert (done.rendered, done.skipped) == (10, 0)


def test_a_shot_is_given_up_after_attempts_without_a_frame(stage: Stage) -> None:
    stage.script.resumes = False

    def heard(event: Any) -> None:
        if isinstance(event, ShotStarted):
            stage.transports[-1].lose()

    with pytest.raises(ServerUnreachable):
        stage.client.render_shot(shot("hold"), heard, retries=2)
    assert len(stage.script.seen_of(SubmitShot)) == 3


def test_a_server_that_cannot_be_reached_at_first_is_not_tried_for_long(stage: Stage) -> None:
    stage.transports[-1].lose()
    until(lambda: stage.transports[-1].closed.is_set())
    stage.address.gone = True
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match="no server runs there"):
        stage.client.render_shot(shot())
    assert time.monotonic() - begun < 0.5


def test_closing_during_a_loss_leaves_no_thread_behind(stage: Stage) -> None:
    future = stage.client.submit(PLATE, style="hold")
    stage.transports[-1].lose()
    stage.client.close()
    with pytest.raises(ServerError):
        future.result(LIMIT_S)
