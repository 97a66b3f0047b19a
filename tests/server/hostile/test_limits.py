"""What is more than the server lets its clients do is refused at once, and served as soon as there is room."""

from __future__ import annotations

import os

import numpy as np
import pytest

from impasto.server.protocol.messages import Cancel, Cancelled, Done, Failed, Hello, Join, Joined, Rejected, Welcome
from tests.server.hostile.checks import assert_discreet, assert_served, healthy_server
from tests.server.wire_client import PIXELS, WireClient, request_of
from tests.waiting import until


def test_the_65th_client_is_told_to_come_back() -> None:
    """Though each of those who are there has the longest of names."""
    with healthy_server(("invert",)) as shared:
        clients: list[WireClient] = []
        try:
            for number in range(64):
                facts = {"client": f"{number} " + "麦" * 80, "host": "麦" * 1_300, "user": f"{number} " + "麦" * 1_300}
                clients.append(WireClient(shared.run, hello=True, **facts))
            assert len(clients[0].status().clients) == 64
            with WireClient(shared.run) as late:
                rejected = late.ask(Hello("late", 1, 0, os.getpid()), Rejected)
                assert rejected.error.code == "busy"
                assert rejected.error.retryable
                assert rejected.error.retry_after_s > 0
                assert_discreet(rejected.error, [])
                assert_served(shared, clients[0], clients[63])
                with WireClient(shared.run, hello=True, control_only=True) as asker:
                    assert asker.status().health == "ok"
                    asker.send(asker.data, request_of("invert", PIXELS), PIXELS.tobytes())
                    assert "connect without it" in asker.answer()[0].error.message
                clients.pop().__exit__()
                until(lambda: len(clients[0].status().clients) == 63)
                late.greet()
                assert_served(shared, late, clients[0])
            # A storm of those who find no room is told apart from them, and the server goes on.
            with WireClient(shared.run, hello=True) as last, WireClient(shared.run) as storm:
                for _ in range(500):
                    storm.send(storm.control, Hello("storm", 1, 0, os.getpid()))
                # To somebody without a session an answer is sent once, or lost.
                errors = [storm.hear(Rejected, storm.control).error for _ in range(64)]
                assert {error.code for error in errors} == {"busy"}
                until(lambda: "connections a second" in shared.log())
                assert_served(shared, last)
        finally:
            for client in clients:
                client.__exit__()
        assert shared.server.complaints() == ""


def test_credit_is_for_frames_and_for_bytes() -> None:
    limits = {"interactive_bytes": 4 * PIXELS.nbytes, "interactive_frames": 3}
    with (
        healthy_server(("invert", "delay-50ms"), limits=limits) as shared,
        WireClient(shared.run, hello=True) as client,
    ):
        ids = [client.submit("delay-50ms") for _ in range(10)]
        answers = {message.id: message for message in (client.answer()[0] for _ in ids)}
        assert [type(answers[id]) for id in ids[:3]] == [Done] * 3
        for id in ids[3:]:
            assert answers[id].error.code == "invalid_request"
            assert "under way" in answers[id].error.message
        assert_served(shared, client)
        large = np.zeros((6, 8 * 5, 4), np.uint8)
        failed = client.frame("invert", pixels=large)
        assert isinstance(failed, Failed)
        assert "MiB under way" in failed.error.message
        assert_served(shared, client)


def test_a_full_queue_is_busy_for_every_client() -> None:
    with (
        healthy_server(("invert", "slow-400ms"), limits={"queued_requests": 3}) as shared,
        WireClient(shared.run, hello=True, lane="batch") as greedy,
        WireClient(shared.run, hello=True) as other,
    ):
        ids = [greedy.submit("slow-400ms") for _ in range(8)]
        until(lambda: other.status().queued >= 3)
        busy = other.frame("invert")
        assert isinstance(busy, Failed)
        assert busy.error.code == "busy"
        assert busy.error.retryable
        assert 0 < busy.error.retry_after_s <= 30
        for id in ids:
            greedy.send(greedy.control, Cancel(id))
        answers = {message.id: message for message in (greedy.answer()[0] for _ in ids)}
        assert set(answers) == set(ids)
        kinds = {type(message) for message in answers.values()}
        assert kinds <= {Done, Failed, Cancelled}
        assert Failed in kinds
        assert_served(shared, other, greedy)


@pytest.mark.parametrize("resume", [None, bytes(16)], ids=["a new client", "one that was there"])
def test_a_client_that_is_welcomed_may_ask(resume: bytes | None) -> None:
    """A limit of one client is kept by one client, also by one that wants to go on with a session that is gone."""
    with healthy_server(("invert",), limits={"sessions": 1}) as shared:
        with WireClient(shared.run, hello=True) as only, WireClient(shared.run) as second:
            assert second.ask(Hello("second", 1, 0, 1, resume=resume), Rejected).error.code == "busy"
            assert_served(shared, only)
        with WireClient(shared.run) as second:
            until(lambda: welcomed(second))
            assert_served(shared, second)


def welcomed(client: WireClient) -> bool:
    client.send(client.control, Hello("second", 1, 0, os.getpid()))
    message, _ = client.hear_parts(client.control)
    if isinstance(message, Welcome):
        client.welcome = message
        client.send(client.data, Join(message.session))
        client.hear(Joined, client.data)
    return isinstance(message, Welcome)
