"""Workers that are killed, hang, run out of memory or lose their device, while clients wait for their frames."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import numpy as np
import psutil
import pytest

from impasto.core.errors import OutOfMemory, StyleError, WorkerLost
from impasto.server.client import Client
from tests.plates import noise
from tests.server.running_server import Sandbox
from tests.waiting import until

PIXELS = noise(54, 96, 4)
LIMIT_S = 40.0


def paint(client: Client, style: str, **words: Any) -> np.ndarray[Any, Any]:
    with client.submit(PIXELS, style=style, **words).result(timeout=LIMIT_S) as result:
        return result.copy()


def events(sandbox: Sandbox, event: str) -> list[dict[str, Any]]:
    return [each for each in map(json.loads, sandbox.log().splitlines()) if each["event"] == event]


def test_a_frame_whose_worker_is_killed_is_painted_by_the_next_with_the_same_pixels(sandbox: Sandbox) -> None:
    sandbox.serve()
    with sandbox.client() as client:
        pid = sandbox.worker_pid(client)
        future = client.submit(PIXELS, style="slow-400ms")
        until(lambda: client.status().running)
        os.kill(pid, signal.SIGKILL)
        with future.result(timeout=LIMIT_S) as result:
            np.testing.assert_array_equal(result.pixels, PIXELS)
        (device,) = client.status().devices
        assert device.restarts == 1
        assert sandbox.worker_pid(client) != pid
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        np.testing.assert_allclose(paint(client, "invert"), 1 - PIXELS)
    assert "SIGKILL" in events(sandbox, "worker_lost")[0]["why"]


@pytest.mark.slow
def test_poison_is_quarantined_and_the_others_are_served(sandbox: Sandbox) -> None:
    sandbox.serve()
    with sandbox.client() as client, sandbox.client(name="bystander") as other:
        beside = [other.submit(PIXELS, style="delay-50ms") for _ in range(2)]
        with pytest.raises(WorkerLost):
            paint(client, "crash")
        assert all(np.array_equal(each.result(timeout=LIMIT_S).copy(), PIXELS) for each in beside)
        lost = len(events(sandbox, "worker_lost"))
        assert lost == 2
        for _ in range(3):
            with pytest.raises(WorkerLost, match="not tried again"):
                paint(client, "crash")
            with pytest.raises(WorkerLost, match="not tried again"):
                paint(other, "crash")
        np.testing.assert_allclose(paint(other, "invert"), 1 - PIXELS)
        assert len(events(sandbox, "worker_lost")) == lost, "it was tried again"


def test_a_frame_that_hangs_costs_its_worker_and_is_painted_by_the_next(sandbox: Sandbox) -> None:
    sandbox.serve(limits={"hang_floor_s": 0.5})
    with sandbox.client() as client:
        np.testing.assert_array_equal(paint(client, "hang-once"), PIXELS)
        assert client.status().counters["workers_hung"] == 1


@pytest.mark.slow
def test_a_frame_that_hangs_every_time_is_refused_and_leaves_no_process(sandbox: Sandbox) -> None:
    sandbox.serve(limits={"hang_floor_s": 0.5})
    with sandbox.client() as client:
        with pytest.raises(WorkerLost):
            paint(client, "hang")
        assert client.status().counters["workers_hung"] == 2
        np.testing.assert_allclose(paint(client, "invert"), 1 - PIXELS)
        pids = {each["pid"] for each in events(sandbox, "worker_ready")}
        assert [psutil.pid_exists(pid) for pid in sorted(pids)].count(True) == 1


def test_a_lack_of_memory_is_told_as_tiles_or_as_an_error_and_costs_no_worker(sandbox: Sandbox) -> None:
    sandbox.serve()
    with sandbox.client() as client:
        pid = sandbox.worker_pid(client)
        with client.submit(PIXELS, style="tiles-512").result(timeout=LIMIT_S) as result:
            assert result.done.tile == 512
            assert "memory ran short" in result.done.notes[0]
            np.testing.assert_array_equal(result.pixels, PIXELS)
        for _ in range(4):
            with pytest.raises(OutOfMemory, match="use draft"):
                paint(client, "oom")
        with pytest.raises(StyleError):
            paint(client, "fail")
        np.testing.assert_allclose(paint(client, "invert"), 1 - PIXELS)
        assert sandbox.worker_pid(client) == pid


def test_a_device_that_fails_costs_the_worker_and_no_frame(sandbox: Sandbox) -> None:
    sandbox.serve()
    with sandbox.client() as client:
        np.testing.assert_array_equal(paint(client, "sticky-once"), PIXELS)
        assert ["exit code 86" in each["why"] for each in events(sandbox, "worker_lost")] == [True]
        np.testing.assert_allclose(paint(client, "invert"), 1 - PIXELS)
