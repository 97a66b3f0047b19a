"""Connections that are lost: what was under way goes on, or ends with an error in time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from impasto.core.errors import RequestCancelled, ServerError, ServerUnreachable, StyleError
from impasto.server.client import requests
from impasto.server.client.ring import RingPairs
from impasto.server.client.session import MISSED_PONGS
from impasto.server.protocol import messages
from impasto.server.protocol.messages import Failed, RenderSettings, ShotJob, ShotProgress, ShotStarted, SubmitShot
from tests.server.client.test_client import LIMIT_S, Stage, plate


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def shot(style: str = "echo") -> ShotJob:
    return ShotJob(RenderSettings(style), "/in.####.exr", "/out.####.exr")


def test_a_running_frame_is_asked_for_again_under_its_id_when_the_connection_comes_back(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.transports[-1].lose()
    stage.await_that(lambda: len(stage.script.seen_of(messages.Submit)) == 2)
    first, again = stage.script.seen_of(messages.Submit)
    assert first == again
    stage.release()
    assert np.array_equal(future.result(LIMIT_S).pixels, plate())
    assert stage.script.seen_of(messages.Hello)[-1].resume == stage.script.sessions[0]


def test_a_call_without_patience_does_not_cost_the_frames_that_are_under_way(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.script.busy_hellos = 2
    stage.transports[-1].lose()
    stage.await_that(lambda: stage.transports[-1].closed.is_set())
    with pytest.raises(ServerError):
        stage.client.ping(timeout_s=0.01)
    stage.await_that(lambda: len(stage.script.seen_of(messages.Submit)) == 2)
    stage.release()
    assert np.array_equal(future.result(LIMIT_S).pixels, plate())


def test_a_frame_that_is_cancelled_during_a_loss_is_taken_back_when_the_connection_comes_back(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.script.busy_hellos = 2
    stage.transports[-1].lose()
    stage.await_that(lambda: stage.transports[-1].closed.is_set())
    assert future.cancel()
    with pytest.raises(RequestCancelled):
        future.result(LIMIT_S)
    assert [asked.id for asked in stage.script.seen_of(messages.Cancel)] == [future.id]


def test_a_frame_that_is_given_up_keeps_its_pair_until_the_server_is_done_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[int] = []
    give_back = RingPairs.give_back
    monkeypatch.setattr(RingPairs, "give_back", lambda pairs, pair: (free.append(pair), give_back(pairs, pair))[0])
    monkeypatch.setattr(stage.script, "_cancel", lambda message: None)
    future = stage.client.submit(plate(), style="hold")
    for times in range(1, requests.SENT_AGAIN + 2):
        stage.await_that(lambda times=times: len(stage.script.seen_of(messages.Submit)) == times)
        stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable, match="sent again"):
        future.result(LIMIT_S)
    stage.await_that(lambda: stage.script.seen_of(messages.Cancel))
    assert free == []
    shown = [stage.client.submit(plate(), style="echo").result(LIMIT_S) for _ in range(2)]
    assert all(np.array_equal(each.pixels, plate()) for each in shown)
    assert {submit.slot.pair for submit in stage.script.seen_of(messages.Submit) if submit.id != future.id} == {1, 2}
    stage.release()
    stage.await_that(lambda: free == [0])


def test_a_session_whose_frames_were_given_up_is_not_gone_on_with(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its server may paint them yet, so that their pairs of slots are not free.
    monkeypatch.setattr(requests, "RECOVER_S", 0.1)
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.script.busy_hellos = 1
    stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)
    assert np.array_equal(stage.client.submit(plate(), style="echo").result(LIMIT_S).pixels, plate())
    assert stage.script.seen_of(messages.Hello)[-1].resume is None
    assert stage.script.seen_of(messages.Hello)[-1].replaces == stage.script.sessions[0]
    assert len(stage.script.opened) == 2


def test_frames_of_a_server_that_is_gone_fail_at_once_with_its_last_words(stage: Stage) -> None:
    futures = [stage.client.submit(plate(), style="hold") for _ in range(2)]
    stage.place.gone = True
    begun = time.monotonic()
    stage.transports[-1].lose()
    for future in futures:
        with pytest.raises(ServerUnreachable, match=rf"\(process {os.getpid()}\); its last words; .*sent again"):
            future.result(LIMIT_S)
    assert time.monotonic() - begun < 2


def test_frames_fail_when_another_server_has_taken_the_place(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.script.boot, stage.script.resumes = os.urandom(16), False
    stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)
    assert np.array_equal(stage.client.submit(plate(), style="echo").result(LIMIT_S).pixels, plate())
    assert len(stage.script.opened) == 2


def test_the_next_call_after_a_loss_connects_again(stage: Stage) -> None:
    stage.client.ping()
    stage.transports[-1].lose()
    stage.await_that(lambda: stage.transports[-1].closed.is_set())
    assert stage.client.ping() < LIMIT_S
    assert len(stage.transports) == 2


def test_a_server_that_falls_silent_is_lost_after_a_few_pings() -> None:
    stage = Stage(heartbeat_s=0.1)
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.place.gone = stage.script.silent = True
    with pytest.raises(ServerUnreachable, match="has not answered for"):
        future.result(LIMIT_S)
    assert len(stage.script.seen_of(messages.Ping)) >= MISSED_PONGS
    stage.close()


def test_a_request_that_ends_every_connection_is_not_carried_over_for_ever(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    for lost in range(1, 5):
        stage.await_that(lambda lost=lost: len(stage.script.seen_of(messages.Submit)) == lost)
        stage.transports[-1].lose()
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)


def test_what_breaks_the_rules_of_the_wire_ends_the_connection(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.await_that(lambda: stage.script.held)
    stage.place.gone = True
    talk = stage.client._desk._talk
    assert talk is not None
    stage.transports[-1].push(lambda: talk.heard("data", [b"IMPA", b"\xc1"]))
    with pytest.raises(ServerUnreachable):
        future.result(LIMIT_S)


def test_a_terminal_message_that_comes_twice_or_for_nobody_is_dropped(stage: Stage) -> None:
    stage.client.submit(plate(), style="echo").result(LIMIT_S).release()
    done = messages.Done(stage.script.seen_of(messages.Submit)[0].id, {})
    stage.transports[-1].push(lambda: stage.script.say("data", done, ()))
    stage.transports[-1].push(lambda: stage.script.say("data", messages.Done(os.urandom(16), {}), ()))
    assert stage.client.ping() < LIMIT_S
    for _ in range(4):
        stage.client.submit(plate(), style="echo", timeout_s=1.0).result(LIMIT_S).release()


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
    stage.await_that(lambda: stage.script.seen_of(messages.Cancel))


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
    stage.await_that(lambda: stage.transports[-1].closed.is_set())
    stage.place.gone = True
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match="no server runs there"):
        stage.client.render_shot(shot())
    assert time.monotonic() - begun < 0.5


def test_closing_during_a_loss_leaves_no_thread_behind(stage: Stage) -> None:
    future = stage.client.submit(plate(), style="hold")
    stage.transports[-1].lose()
    stage.client.close()
    with pytest.raises(ServerError):
        future.result(LIMIT_S)
