"""Clients that are killed, stopped or cut off: what they held comes back, and the others do not notice."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

from impasto.server.client import Client
from tests.plates import noise
from tests.server.relay import relayed
from tests.server.running_server import Program, Sandbox
from tests.waiting import until

PIXELS = noise(54, 96, 4)
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


def test_what_a_killed_client_had_queued_is_dropped_and_its_memory_comes_back(shared: Sandbox, server: Program) -> None:
    with shared.client() as other:
        before = server.open_segments()
        doomed = shared.client_program("wait-in-queue")
        doomed.await_line("ready")
        until(lambda: other.status().queued + other.status().running == 3)
        doomed.kill()
        until(lambda: "doomed" not in names(other), SOON_S)
        # What its worker paints now is finished, because nothing stops it; what waited is not begun.
        until(lambda: other.status().queued + other.status().running == 0, SOON_S)
        until(lambda: server.open_segments() == before, SOON_S)
        painted(other)


def test_a_client_that_is_killed_while_it_writes_leaves_no_slot_behind(shared: Sandbox, server: Program) -> None:
    with shared.client() as other:
        painted(other)
        before, frames = server.open_segments(), other.status().frames
        doomed = shared.client_program("write-half")
        doomed.await_line("ready")
        assert server.open_segments() == before + 1
        doomed.kill()
        until(lambda: server.open_segments() == before, SOON_S)
        assert other.status().frames == frames, "half a plate was painted"
        painted(other)


def test_a_message_that_is_cut_off_by_a_kill_is_never_taken(shared: Sandbox, server: Program) -> None:
    with relayed(shared, "cut") as link, shared.client() as other:
        frames, slow = other.status().frames, 2 << 20
        link.data.link.bytes_per_s = slow
        doomed = shared.client_program("send-inline", str(64 << 20), folder=shared.root / "cut")
        doomed.await_line("ready")
        until(lambda: link.data.towards_server > slow // 2)
        doomed.kill()
        link.cut()
        painted(other)
        until(lambda: "test" not in names(other), SOON_S)
        status = other.status()
        assert status.frames == frames + 1
        assert status.counters["messages_malformed"] == 0


def test_a_client_that_reads_nothing_is_given_up_and_slows_nobody(shared: Sandbox, server: Program) -> None:
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


@pytest.mark.slow
def test_a_client_that_was_stopped_for_longer_than_its_lease_goes_on_in_a_new_session(sandbox: Sandbox) -> None:
    sandbox.serve(limits={"interactive_lease_s": 2.0, "heartbeat_s": 0.5})
    painter = sandbox.client_program("paint", "echo")
    painter.await_line("painted")
    with sandbox.client() as other:
        painter.signal(signal.SIGSTOP)
        until(lambda: "painter" not in names(other))
        assert "silent for longer than its lease" in sandbox.log()
        painted(other)
        painter.signal(signal.SIGCONT)
        painter.await_line("painted")
        until(lambda: "painter" in names(other))
        painter.await_line("painted")
