"""Memory that is not there, that a peer takes away, or that leaks."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from impasto.core.errors import ImpastoError, OutOfMemory, RequestCancelled, StyleError
from impasto.server.client import Client
from impasto.server.client.futures import FrameFuture
from impasto.server.protocol.messages import AttachRing, Done, Failed, OpenRing, RingOffered, RingReady
from impasto.server.shared_memory import map_segment
from tests.plates import noise
from tests.server.running_server import Sandbox
from tests.server.wire_client import WireClient
from tests.waiting import until

PIXELS = noise(54, 96, 4)
LIMIT_S = 30.0


def painted(client: Client, style: str = "invert") -> None:
    with client.submit(PIXELS, style=style).result(timeout=LIMIT_S) as result:
        np.testing.assert_allclose(result.pixels, 1 - PIXELS if style == "invert" else PIXELS)


@pytest.mark.parametrize("asked", [{"no_memory": True}, {"rlimits": {"RLIMIT_FSIZE": 300_000}}], ids=["ours", "system"])
def test_without_room_for_a_ring_the_pixels_go_in_the_message(sandbox: Sandbox, asked: dict[str, Any]) -> None:
    server = sandbox.serve(**asked)
    with sandbox.client() as client:
        for _ in range(5):
            painted(client)
        assert client.transport == "inline"
        assert client.transport_problem
        assert client.status().counters["rings_refused"] == 1
    assert server.alive


def test_without_memory_for_a_frame_it_fails_by_name_and_smaller_ones_are_painted(sandbox: Sandbox) -> None:
    sandbox.serve(rlimits={"RLIMIT_FSIZE": 300_000})
    large = noise(400, 400, 4)
    with sandbox.client() as client:
        with pytest.raises(ImpastoError) as refused:
            client.submit(large, style="echo").result(timeout=LIMIT_S)
        assert "expected" in str(refused.value)
        painted(client)


def test_a_peer_that_truncates_a_segment_of_a_file_kills_at_most_the_worker(sandbox: Sandbox) -> None:
    server = sandbox.serve(no_memfd=True)
    with sandbox.client() as other, WireClient(sandbox.run, hello=True) as raw:
        painted(other)
        assert other.transport == "ring"
        offer = raw.ask(OpenRing(secrets.token_bytes(16), 1 << 16, 1), RingOffered)
        assert Path(offer.path).name.startswith("impasto-")
        fd = os.open(offer.path, os.O_RDWR)
        nonce = map_segment(offer.path, offer.segment_bytes)[offer.nonce_offset : offer.nonce_offset + 16]
        raw.ask(AttachRing(secrets.token_bytes(16), offer.ring, nonce), RingReady)
        assert not Path(offer.path).exists()
        raw.ring = offer
        assert isinstance(raw.frame(slot=raw.slot(0)), Done)
        os.ftruncate(fd, 0)
        os.close(fd)
        # The worker that mapped it dies; the next finds that it is too small before it maps it.
        raw.submit(slot=raw.slot(0))
        refused, _ = raw.answer(LIMIT_S)
        assert isinstance(refused, Failed)
        assert refused.error.code == "invalid_request"
        painted(other)
        assert server.alive
        assert sandbox.log().count("SIGBUS") == 1


@pytest.mark.slow
def test_ten_thousand_requests_of_which_many_fail_leave_memory_and_files_as_they_were(sandbox: Sandbox) -> None:
    server = sandbox.serve()
    tiny = noise(4, 4, 4)
    errors = {"oom": OutOfMemory, "fail": StyleError}

    def ask(client: Client, count: int) -> None:
        """Three under way at once; every 20th fails, every 20th is taken back."""
        waiting: list[tuple[str, FrameFuture]] = []
        for number in range(count):
            style = {0: "fail", 5: "oom", 10: "taken back"}.get(number % 20, "echo")
            future = client.submit(tiny, style="echo" if style == "taken back" else style)
            if style == "taken back":
                future.cancel()
            waiting.append((style, future))
            if len(waiting) == 2:
                check(*waiting.pop(0))
        for each in waiting:
            check(*each)

    def check(style: str, future: FrameFuture) -> None:
        error = future.exception(timeout=LIMIT_S)
        if style == "taken back":
            assert error is None or isinstance(error, RequestCancelled)
        else:
            assert type(error) is errors.get(style, type(None)), error
        if error is None:
            future.result().release()

    with sandbox.client() as client:
        ask(client, 2000)
        front, worker = psutil.Process(server.pid), psutil.Process(sandbox.worker_pid(client))
        before = [(each.memory_info().rss, each.num_fds()) for each in (front, worker)]
        ask(client, 10_000)
        until(lambda: not client.status().running)
        after = [(each.memory_info().rss, each.num_fds()) for each in (front, worker)]
        assert sandbox.worker_pid(client) == worker.pid
        assert client.status().frames >= 10_000
    growth = [(b[0] - a[0]) / 2**20 for a, b in zip(before, after, strict=True)]
    assert growth[0] < 20
    assert growth[1] < 50
    assert [files for _, files in before] == [files for _, files in after]
