"""The server itself killed, stopped, started twice, told to leave, out of files, without a log, with a mad clock."""

from __future__ import annotations

import ast
import os
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import psutil
import pytest

from impasto.core.errors import RequestCancelled, ServerBusy, ServerUnreachable
from impasto.server.client import Client
from impasto.server.client.futures import FrameResult
from tests.plates import noise
from tests.server.running_server import ROOT, Sandbox
from tests.server.wire_client import WireClient
from tests.waiting import until

PIXELS = noise(54, 96, 4)
LIMIT_S = 20.0


def painted(client: Client, style: str = "invert") -> None:
    with client.submit(PIXELS, style=style).result(timeout=LIMIT_S) as result:
        np.testing.assert_allclose(result.pixels, 1 - PIXELS if style == "invert" else PIXELS)


def error_of(future: Future[FrameResult]) -> BaseException | None:
    return future.exception(timeout=LIMIT_S)


def test_a_killed_server_is_noticed_at_once_and_takes_its_workers_with_it(sandbox: Sandbox) -> None:
    server = sandbox.serve()
    with sandbox.client() as client:
        painted(client)
        worker = sandbox.worker_pid(client)
        futures = [client.submit(PIXELS, style="slow-400ms") for _ in range(3)]
        begun = time.monotonic()
        server.kill()
        errors = [error_of(future) for future in futures]
        assert {type(error) for error in errors} == {ServerUnreachable}
        assert f"process {server.pid}" in str(errors[0])
        assert time.monotonic() - begun < 5.0
        until(lambda: not sandbox.processes() and not psutil.pid_exists(worker), 3.0)
        with pytest.raises(ServerUnreachable, match="none runs"):
            client.submit(PIXELS, style="echo")


def test_a_server_that_follows_a_killed_one_sweeps_and_serves_the_same_clients(sandbox: Sandbox) -> None:
    first = sandbox.serve()
    with sandbox.client() as client:
        painted(client)
        boot = client.welcome.boot
        first.kill()
        assert list(sandbox.run.glob("*.sock")), "a killed server cannot remove its sockets"
        left = Path(f"/dev/shm/impasto-{first.pid}-{'0' * 16}")
        left.write_bytes(b"")
        sandbox.serve()
        assert not left.exists()
        painted(client)
        assert client.welcome.boot != boot
        assert client.transport == "ring"


def test_a_server_that_stood_still_is_found_silent_and_serves_again(sandbox: Sandbox) -> None:
    server = sandbox.serve(limits={"heartbeat_s": 0.25, "interactive_lease_s": 3.0})
    with sandbox.client() as client:
        painted(client)
        future = client.submit(PIXELS, style="slow-400ms")
        until(lambda: client.status().running)
        server.signal(signal.SIGSTOP)
        error = error_of(future)
        assert isinstance(error, ServerUnreachable), error
        server.signal(signal.SIGCONT)
        painted(client)
        until(lambda: not client.status().running)
        until(lambda: [each.client for each in client.status().clients] == ["tester"])


def test_a_short_stop_of_the_server_costs_nobody_anything(sandbox: Sandbox) -> None:
    server = sandbox.serve(limits={"heartbeat_s": 0.5, "interactive_lease_s": 2.5})
    with sandbox.client() as client:
        painted(client)
        boot, session = client.welcome.boot, client.welcome.session
        future = client.submit(PIXELS, style="slow-400ms")
        server.signal(signal.SIGSTOP)
        # Not a wait for something: the stop has to last for a while.
        threading.Event().wait(1.0)
        server.signal(signal.SIGCONT)
        with future.result(timeout=LIMIT_S) as result:
            np.testing.assert_array_equal(result.pixels, PIXELS)
        assert (client.welcome.boot, client.welcome.session) == (boot, session)


@pytest.mark.slow
def test_a_server_that_was_stopped_for_longer_than_its_workers_may_be_silent_loses_none(sandbox: Sandbox) -> None:
    server = sandbox.serve()
    with WireClient(sandbox.run, hello=True) as client:
        client.still_served()
        server.signal(signal.SIGSTOP)
        # Not a wait for something: the stop has to last for a while.
        threading.Event().wait(2.5)
        server.signal(signal.SIGCONT)
        client.still_served()
        assert client.status().counters["workers_lost"] == 0


def test_a_second_server_refuses_and_names_the_first(sandbox: Sandbox) -> None:
    first = sandbox.serve()
    second = sandbox.serve(wait=False)
    assert second.code() != 0
    assert str(first.pid) in second.complaints()
    with sandbox.client() as client:
        painted(client)
        assert client.status().pid == first.pid


def test_many_clients_come_back_to_a_restarted_server_at_once(sandbox: Sandbox) -> None:
    count = 64
    limits = {"sessions": 80, "sessions_per_user": 80}
    first = sandbox.serve(limits=limits)
    clients = [sandbox.client(name=f"artist {number}", timeout_s=30.0, pairs=1) for number in range(count)]
    pixels = noise(4, 4, 4)
    try:
        first.kill()
        sandbox.serve(limits=limits)
        answers: list[float] = []
        lock, start = threading.Lock(), threading.Barrier(count)

        def paint(client: Client) -> None:
            start.wait(LIMIT_S)
            begun = time.monotonic()
            with client.submit(pixels, style="echo").result(timeout=30.0) as result:
                same = np.array_equal(result.pixels, pixels)
            with lock:
                answers.append(time.monotonic() - begun if same else float("inf"))

        threads = [threading.Thread(target=paint, args=(client,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
        assert len(answers) == count
        assert max(answers) < 15.0
        assert clients[0].status().counters["sessions_opened"] == count
    finally:
        for client in clients:
            client.close()


def test_a_server_that_is_asked_to_leave_finishes_what_runs(sandbox: Sandbox) -> None:
    server = sandbox.serve()
    with sandbox.client() as client:
        painted(client)
        futures = [client.submit(PIXELS, style="slow-400ms") for _ in range(2)]
        until(lambda: client.status().running == 2)
        server.signal(signal.SIGTERM)
        for future in futures:
            with future.result(timeout=LIMIT_S) as result:
                np.testing.assert_array_equal(result.pixels, PIXELS)
        assert server.code() == 0
        with pytest.raises((ServerUnreachable, ServerBusy)):
            client.submit(PIXELS, style="echo").result(timeout=LIMIT_S)
    assert not sandbox.processes()


@pytest.mark.slow
def test_a_second_sigterm_cuts_off_what_runs_and_says_so_by_its_code(sandbox: Sandbox) -> None:
    server = sandbox.serve(limits={"drain_s": 30.0})
    with sandbox.client() as client:
        painted(client)
        futures = [client.submit(PIXELS, style="hang") for _ in range(2)]
        until(lambda: client.status().running)
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        until(lambda: "draining" in sandbox.log())
        server.signal(signal.SIGTERM)
        assert server.code() == 1
        assert time.monotonic() - begun < 10.0
        for future in futures:
            assert isinstance(error_of(future), ServerUnreachable | RequestCancelled)
    until(lambda: not sandbox.processes(), 3.0)


def test_a_server_without_a_log_paints_and_says_what_is_wrong(sandbox: Sandbox) -> None:
    sandbox.run.mkdir(mode=0o700)
    (sandbox.run / "events.log").mkdir()
    server = sandbox.serve()
    with sandbox.client() as client:
        painted(client)
        status = until(lambda: each if (each := client.status()).health == "degraded" else None)
        assert any("log" in problem for problem in status.problems)
        (sandbox.run / "events.log").rmdir()
        painted(client)
        until(lambda: client.status().health == "ok")
        assert "lines_lost_before" in sandbox.log()
    server.signal(signal.SIGTERM)
    assert server.code() == 0


def fill(sandbox: Sandbox, clients: list[Client]) -> None:
    """Connect clients that paint until one is refused."""
    for number in range(64):
        clients.append(sandbox.client(name=f"{number}", timeout_s=2.0 if clients else LIMIT_S))
        painted(clients[-1])


def test_a_server_of_few_files_refuses_clients_by_name_and_keeps_those_it_has(sandbox: Sandbox) -> None:
    server = sandbox.serve(rlimits={"RLIMIT_NOFILE": 64})
    clients: list[Client] = []
    try:
        with pytest.raises(ServerBusy, match="file number"):
            fill(sandbox, clients)
        for client in clients:
            painted(client)
        clients.pop().close()
        until(lambda: len(clients[0].status().clients) == len(clients))
        clients.append(sandbox.client(name="late"))
        painted(clients[-1])
        assert server.alive
    finally:
        for client in clients:
            client.close()


def test_a_wall_clock_that_jumps_by_days_changes_nothing(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.serve(clock_jumps=True, limits={"interactive_lease_s": 3.0, "heartbeat_s": 0.5})
    real, looks = time.time, iter(range(1 << 30))
    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * (1 - 2 * (next(looks) % 2)))
    with sandbox.client() as client:
        session = client.welcome.session
        for _ in range(30):
            painted(client)
            assert client.ping() < LIMIT_S
        with client.submit(PIXELS, style="slow-100ms", deadline_s=30.0).result(timeout=LIMIT_S) as result:
            assert result.done.seconds["server"] < LIMIT_S
        assert client.welcome.session == session
        assert client.status().uptime_s < 60.0


def test_the_wall_clock_is_read_for_the_log_the_lock_and_the_age_of_files_alone() -> None:
    sources = sorted((ROOT / "server").rglob("*.py"))
    clocks = [path for path in sources if any(map(wall_clock, ast.walk(ast.parse(path.read_text()))))]
    allowed = ["frame_cache/store.py", "front/event_log.py", "front/server.py"]
    assert [str(path.relative_to(ROOT / "server")) for path in clocks] == allowed


def wall_clock(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="time"), attr="time" | "time_ns" | "localtime" | "gmtime"):
            return True
        case ast.Attribute(attr="now" | "utcnow" | "today", value=ast.Name(id="datetime" | "date")):
            return True
        case ast.ImportFrom(module="time", names=names):
            return any(each.name in ("time", "time_ns") for each in names)
    return False


def test_what_a_killed_server_leaves_in_memory_is_its_clients_alone(sandbox: Sandbox) -> None:
    server = sandbox.serve()
    with sandbox.client() as client:
        with client.submit(PIXELS, style="invert").result(timeout=LIMIT_S) as result:
            server.kill()
            until(lambda: not sandbox.processes(), 3.0)
            # The memory lives as long as somebody maps it: a result survives the server that painted it.
            np.testing.assert_allclose(result.pixels, 1 - PIXELS)
        mapped = Path(f"/proc/{os.getpid()}/maps").read_text().splitlines()
        assert any("/memfd:impasto" in line for line in mapped)
        assert not any("/dev/shm/impasto" in line for line in mapped)
