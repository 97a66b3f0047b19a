"""A client that does not read its answers holds no more memory of the server than twice its credit."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from impasto.server.front.sessions import GRACE_S, Untaken, UntakenAnswers
from impasto.server.protocol.messages import Done, Failed
from tests.server.running_server import served
from tests.server.wire_client import WireClient
from tests.waiting import until

PLATE = np.zeros((1024, 1024, 4), np.float32)


class _Tracker:
    done = False


def test_an_answer_is_taken_once_its_memory_is_read() -> None:
    answers = UntakenAnswers(most_frames=2, most_bytes=100)
    tracker = _Tracker()
    waiting = Untaken(40)
    answers.add(waiting)
    assert answers.has_room(0, 0, 40, now=0.0)
    assert not answers.has_room(1, 40, 40, now=0.0)
    waiting.sent(tracker, now=1.0)
    assert answers.has_room(1, 40, 40, now=1.0), "an answer that has just left counts as taken for a moment"
    assert not answers.has_room(1, 40, 40, now=1.0 + 2 * GRACE_S)
    tracker.done = True
    assert answers.has_room(1, 40, 40, now=1.0 + 2 * GRACE_S)


def test_no_grace_lets_a_client_have_more_than_twice_its_credit() -> None:
    answers = UntakenAnswers(most_frames=2, most_bytes=1000)
    for _ in range(4):
        each = Untaken(10)
        answers.add(each)
        each.sent(_Tracker(), now=0.0)
    assert not answers.has_room(0, 0, 10, now=0.0)


def test_one_answer_of_any_size_is_always_let_through() -> None:
    assert UntakenAnswers(most_frames=1, most_bytes=10).has_room(0, 0, 1000, now=0.0)


def test_a_client_that_never_reads_is_refused_beyond_its_credit() -> None:
    with served() as server, WireClient() as silent, WireClient(server.folder, hello=True) as other:
        silent.data.rcvhwm = 1
        silent.connect(server.folder)
        silent.greet()
        other.still_served()
        for _ in range(36):
            silent.submit(pixels=PLATE)
        until(lambda: other.status().counters["requests_refused"] >= 36 - 12)
        other.still_served()
        assert other.status().counters["frames"] < 12, "what a socket takes counts as read"
        found: list[Any] = []
        while len(found) < 36:
            message, _ = silent.answer()
            found.append(type(message))
            del _
            gc.collect()
        assert set(found) == {Done, Failed}
        until(lambda: isinstance(silent.frame(pixels=PLATE), Done))


def test_a_client_that_reads_is_never_refused_within_its_credit() -> None:
    with served() as server, WireClient(server.folder, hello=True) as client:
        client.still_served()
        under_way = 0
        for _ in range(60):
            while under_way == 3:
                message, _parts = client.answer()
                assert isinstance(message, Done), message
                under_way -= 1
            client.submit(pixels=PLATE)
            under_way += 1
        for _ in range(under_way):
            assert isinstance(client.answer()[0], Done)
