"""Clients that are killed, stopped, cut off or forked: what they held comes back, and the others do not notice."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

from impasto.core.errors import ServerUnreachable
from impasto.server.client import Client
from tests.server.faults.house import House, Program, beside, plate, until

PIXELS = plate()
SOON_S = 5.0
"""A second is promised; the machine that runs the tests may have other things to do."""


def painted(client: Client, style: str = "invert") -> float:
    """Seconds that a frame takes, whose pixels are as they should be."""
    begun = time.monotonic()
    with client.submit(PIXELS, style=style).result(timeout=20) as result:
        np.testing.assert_allclose(result.pixels, 1 - PIXELS if style == "invert" else PIXELS)
    return time.monotonic() - begun


def names(client: Client) -> list[str]:
    return [each.client for each in client.status().clients]


def test_what_a_killed_client_had_queued_is_dropped_and_its_memory_comes_back(shared: House, server: Program) -> None:
    with shared.client() as other:
        before = shared.segments_of(server)
        doomed = shared.client_program("wait-in-queue")
        doomed.await_line("ready")
        until(lambda: other.status().queued + other.status().running == 3)
        doomed.kill()
        until(lambda: "doomed" not in names(other), SOON_S)
        # What its worker paints now is finished, because nothing stops it; what waited is not begun.
        until(lambda: other.status().queued + other.status().running == 0, SOON_S)
        until(lambda: shared.segments_of(server) == before, SOON_S)
        painted(other)


def test_a_client_that_is_killed_while_it_writes_leaves_no_slot_behind(shared: House, server: Program) -> None:
    with shared.client() as other:
        painted(other)
        before, frames = shared.segments_of(server), other.status().frames
        doomed = shared.client_program("write-half")
        doomed.await_line("ready")
        assert shared.segments_of(server) == before + 1
        doomed.kill()
        until(lambda: shared.segments_of(server) == before, SOON_S)
        assert other.status().frames == frames, "half a plate was painted"
        painted(other)


def test_a_message_that_is_cut_off_by_a_kill_is_never_taken(shared: House, server: Program) -> None:
    with beside(shared, "cut") as way, shared.client() as other:
        frames, slow = other.status().frames, 2 << 20
        way.data.weather.bytes_per_s = slow
        doomed = shared.client_program("send-inline", str(64 << 20), folder=shared.root / "cut")
        doomed.await_line("ready")
        until(lambda: way.data.towards_server > slow // 2)
        doomed.kill()
        way.cut()
        painted(other)
        until(lambda: "test" not in names(other), SOON_S)
        status = other.status()
        assert status.frames == frames + 1
        assert status.counters["messages_malformed"] == 0


def test_a_client_that_reads_nothing_is_given_up_and_slows_nobody(shared: House, server: Program) -> None:
    with shared.client() as other:
        painted(other)
        flood = shared.client_program("flood")
        flood.await_line("ready")
        flood.signal(signal.SIGSTOP)
        slowest = max(painted(other) for _ in range(50))
        flood.signal(signal.SIGCONT)
        until(lambda: "did not read what was sent to it" in shared.log())
        flood.signal(signal.SIGSTOP)
        slowest = max(slowest, *(painted(other) for _ in range(50)))
        assert slowest < 2.0
        until(lambda: "flood" not in names(other))
        flood.kill()


def test_a_client_that_was_stopped_for_longer_than_its_lease_goes_on_in_a_new_session(home: House) -> None:
    home.serve(limits={"interactive_lease_s": 2.0, "heartbeat_s": 0.5})
    painter = home.client_program("paint", "echo")
    painter.await_line("painted")
    with home.client() as other:
        painter.signal(signal.SIGSTOP)
        until(lambda: "painter" not in names(other))
        assert "silent for longer than its lease" in home.log()
        painted(other)
        painter.signal(signal.SIGCONT)
        painter.await_line("painted")
        until(lambda: "painter" in names(other))
        painter.await_line("painted")


def test_a_frame_whose_connection_breaks_fails_and_the_next_is_painted(shared: House, server: Program) -> None:
    with beside(shared, "broken") as way, way.client() as client, shared.client() as other:
        painted(client)
        future = client.submit(PIXELS, style="slow-400ms")
        until(lambda: other.status().running)
        way.cut()
        with pytest.raises(ServerUnreachable, match="sent again"):
            future.result(timeout=20)
        painted(client)
        assert way.data.connections >= 2
        until(lambda: not other.status().running)


def test_a_forked_host_paints_in_the_child_and_in_the_parent(shared: House, server: Program) -> None:
    host = shared.client_program("fork")
    assert [host.line() for _ in range(4)] == [
        "before painted",
        "child painted",
        "child left with 0",
        "parent painted",
    ]
    assert host.code() == 0
