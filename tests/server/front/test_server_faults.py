"""What the front does when something dies, hangs, floods or leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from impasto.server.protocol import codec
from impasto.server.protocol.messages import Cancelled, Done, Expired, Hello, Ping, Pong, Rejected, ShuttingDown
from impasto.server.runtime_dir import running
from tests.server.fake_worker import write_style
from tests.server.running_server import PIXELS, WAIT_S, Raw, served, until

CHILD = """
import sys, time
from pathlib import Path
from tests.server.running_server import Raw
raw = Raw(Path(sys.argv[1]), hello=True)
raw.open_ring()
for _ in range(3):
    raw.submit(sys.argv[2], slot=raw.slot(_))
print("sent", flush=True)
time.sleep(60)
"""


def start_child(folder: Path, style: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), style],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "sent\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait(WAIT_S)
    assert child.stdout is not None
    child.stdout.close()


def test_a_worker_that_dies_is_replaced_and_its_frame_painted() -> None:
    with served(("echo", "crash-once")) as server, Raw(server.folder, hello=True) as client:
        client.open_ring()
        client.write(0, PIXELS)
        done = client.frame("crash-once", slot=client.slot(0))
        assert isinstance(done, Done)
        assert (client.read(0, PIXELS) == PIXELS).all()
        assert isinstance(client.frame("crash-once"), Done)
        status = client.status()
        assert status.counters["workers_lost"] == 1
        assert [each.restarts for each in status.devices] == [1]


def test_a_request_that_kills_two_workers_is_quarantined_and_others_go_on() -> None:
    with served(("echo", "crash")) as server, Raw(server.folder, hello=True) as client:
        poison = client.submit("crash")
        healthy = client.submit("echo")
        answers = {message.id: message for message in (client.answer(20)[0] for _ in range(2))}
        assert answers[poison].error.code == "worker_lost"
        assert isinstance(answers[healthy], Done)
        again = client.frame("crash")
        assert again.error.code == "worker_lost"
        client.still_served()


def test_a_worker_that_hangs_is_killed_and_its_frame_tried_again() -> None:
    with (
        served(("echo", "hang-once"), limits={"hang_floor_s": 1.0}) as server,
        Raw(server.folder, hello=True) as client,
    ):
        client.still_served()
        client.submit("hang-once")
        assert isinstance(client.answer(20)[0], Done)
        assert client.status().counters["workers_hung"] == 1


def test_a_device_that_fails_costs_the_worker_but_not_the_frame() -> None:
    with served(("echo", "sticky-once")) as server, Raw(server.folder, hello=True) as client:
        assert isinstance(client.frame("sticky-once"), Done)


def test_a_client_that_is_killed_gives_back_what_it_held() -> None:
    with served(("echo", "slow-400ms")) as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        child = start_child(server.folder, "slow-400ms")
        until(lambda: client.status().running)
        assert len(client.status().clients) == 2
        end(child)
        killed_at = time.monotonic()
        until(lambda: len(client.status().clients) == 1)
        assert time.monotonic() - killed_at < 1.0
        until(lambda: client.status().queued + client.status().running == 0)
        client.still_served()


def test_a_silent_client_loses_its_session_after_the_lease() -> None:
    with (
        served(limits={"interactive_lease_s": 1.0}) as server,
        Raw(server.folder, hello=True, lane="batch") as watching,
        Raw(server.folder, hello=True) as silent,
    ):
        until(lambda: len(watching.status().clients) == 1)
        assert "Hello" in silent.ask(Ping(1), Rejected).error.message
        silent.welcome = None
        with Raw(server.folder, hello=True) as back:
            back.still_served()


def test_a_deadline_passes_in_the_queue() -> None:
    with served(("echo", "slow-400ms")) as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        for _ in range(2):
            client.submit("slow-400ms")
        late = client.submit("echo", deadline_s=0.05)
        first, _ = client.answer()
        assert isinstance(first, Expired)
        assert first.id == late


def test_a_full_server_says_so() -> None:
    with (
        served(limits={"sessions": 2}) as server,
        Raw(server.folder, hello=True),
        Raw(server.folder, hello=True),
        Raw(server.folder) as third,
    ):
        rejected = third.ask(Hello("third", 1, 0, 1), Rejected)
        assert rejected.error.code == "busy"
        assert rejected.error.retryable
        assert rejected.error.retry_after_s > 0


def test_a_drain_finishes_what_runs_and_leaves_nothing() -> None:
    others = psutil.Process().children()
    with served(("echo", "delay-300ms")) as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        children = [child for child in psutil.Process().children() if child not in others]
        assert children
        id = client.submit("delay-300ms")
        until(lambda: client.status().running)
        client.shut_down()
        refused = client.frame()
        assert refused.error.code == "busy"
        done, _ = client.answer()
        assert isinstance(done, Done)
        assert done.id == id
        assert server.left() == 0
        client.welcome = None
        assert not (server.folder / "control.sock").exists()
        assert not (server.folder / "data.sock").exists()
        assert running(server.folder) is None
        until(lambda: not any(child.is_running() for child in children))


def test_at_once_cancels_what_runs() -> None:
    with served(("echo", "delay-5000ms")) as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        client.submit("delay-5000ms")
        until(lambda: client.status().running)
        client.shut_down(at_once=True)
        cancelled, _ = client.answer()
        assert isinstance(cancelled, Cancelled)
        assert cancelled.reason == "shutdown"
        assert server.left() == 1
        client.welcome = None


def test_a_server_that_nobody_uses_leaves() -> None:
    with served(idle_exit_s=0.3) as server:
        assert server.left() == 0


def test_a_server_with_a_client_stays() -> None:
    with served(idle_exit_s=1.5) as server, Raw(server.folder, hello=True) as client:
        until(lambda: client.status().uptime_s > 2.5)
        client.still_served()


def test_every_client_is_told_that_the_server_leaves() -> None:
    with served() as server, Raw(server.folder, hello=True) as other, Raw(server.folder, hello=True) as client:
        client.shut_down()
        assert other.hear(ShuttingDown, other.control).id is None
        assert server.left() == 0
        client.welcome = other.welcome = None


def test_a_ping_is_answered_while_frames_are_painted() -> None:
    with served(("echo", "slow-60ms")) as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        waits = []
        pending = 0
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            if pending < 2:
                client.submit("slow-60ms")
                pending += 1
            begun = time.monotonic()
            client.ask(Ping(1), Pong)
            waits.append(time.monotonic() - begun)
            pending -= sum(1 for _ in range(pending) if client.data.poll(0) and client.answer())
        assert sorted(waits)[len(waits) // 2] < 0.01


RUN = """
import resource, sys
from pathlib import Path
from impasto.server.front.server import serve
from impasto.server.settings import ServerSettings
from tests.server.fake_worker import COMMAND, write_style
home = Path(sys.argv[1])
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
(home / "styles").mkdir()
for name in ("echo", "slow-400ms"):
    write_style(home / "styles", name)
settings = ServerSettings(folder=home / "run", devices=("cpu",), styles=(home / "styles",), worker_command=COMMAND)
sys.exit(serve(settings, on_ready=lambda: print("ready", flush=True)))
"""


def start_server(home: Path, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(home), *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="impasto-", dir="/tmp") as folder:
        yield Path(folder)


def test_the_front_never_loads_torch(home: Path) -> None:
    script = "import sys, impasto.server.front.server, impasto.core.grade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("times", [1, 2])
def test_sigterm_drains_and_a_second_one_ends_at_once(home: Path, times: int) -> None:
    process = start_server(home)
    try:
        with Raw(home / "run", hello=True) as client:
            client.still_served()
            client.submit("slow-400ms")
            until(lambda: client.status().running)
            for _ in range(times):
                process.send_signal(signal.SIGTERM)
                client.hear(ShuttingDown, client.control) if _ == 0 else None
            message, _ = client.answer()
            assert isinstance(message, Done if times == 1 else Cancelled)
            assert process.wait(WAIT_S) == (0 if times == 1 else 1)
            client.welcome = None
    finally:
        end(process)


def test_children_die_with_a_server_that_is_killed(home: Path) -> None:
    process = start_server(home)
    with Raw(home / "run", hello=True) as client:
        client.still_served()
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        end(process)
        client.welcome = None
    until(lambda: all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in children), 1.0)
    shutil.rmtree(home / "styles")
    end(start_server(home))  # what the first left behind is in nobody's way


def test_a_server_that_may_open_few_files_refuses_clients_and_lives(home: Path) -> None:
    process = start_server(home, "64")
    clients: list[Raw] = []
    try:
        for _ in range(30):
            raw = Raw(home / "run")
            clients.append(raw)
            raw.send(raw.control, Hello("many", 1, 0, os.getpid()))
            if not raw.control.poll(1000):
                break
            message, _ = raw.hear_parts(raw.control)
            if isinstance(message, Rejected):
                assert message.error.code == "busy"
                break
        else:
            pytest.fail("30 clients were welcomed by a server of 64 files")
        assert clients[0].ask(Ping(1), Pong).token == 1
        assert process.poll() is None
    finally:
        for raw in clients:
            raw.context.destroy(linger=0)
        end(process)


def test_a_log_that_cannot_be_written_degrades_the_health_and_nothing_else(home: Path) -> None:
    (home / "run").mkdir(mode=0o700)
    (home / "run" / "events.log").mkdir()
    process = start_server(home)
    try:
        with Raw(home / "run", hello=True) as client:
            client.still_served()
            status = client.status()
            assert status.health == "degraded"
            assert any("log" in problem for problem in status.problems)
    finally:
        end(process)


def test_a_broken_style_is_reported_and_the_others_served() -> None:
    with served() as server, Raw(server.folder, hello=True) as client:
        client.still_served()
        write_style(server.settings.styles[0], "broken-one")
        status = until(lambda: (found := client.status()).health == "degraded" and found)
        assert any("broken-one" in problem for problem in status.problems)
        client.still_served()


def test_a_client_that_reads_nothing_is_given_up_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.server.front.outbox.QUEUE_MESSAGES", 50)
    with (
        served() as server,
        Raw(server.folder, hello=True) as client,
        Raw(server.folder, hello=True, client="deaf") as deaf,
    ):
        deaf.control.rcvhwm = 1
        for token in range(20_000):
            if not deaf.control.poll(1000, zmq.POLLOUT):
                break
            deaf.control.send_multipart(codec.encode(Ping(token)), zmq.NOBLOCK)
        until(lambda: [each.client for each in client.status().clients] == ["test"])
        client.still_served()
        deaf.welcome = None


def test_a_server_that_was_stopped_for_a_while_forgives_its_clients(home: Path) -> None:
    process = start_server(home)
    try:
        with Raw(home / "run", hello=True) as client:
            client.still_served()
            process.send_signal(signal.SIGSTOP)
            time.sleep(2.5)  # longer than the loop takes for sleep
            process.send_signal(signal.SIGCONT)
            client.still_served()
            assert client.status().counters["workers_lost"] == 0
    finally:
        end(process)
