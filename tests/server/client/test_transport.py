"""Real sockets: loss, silence, keys, closing, forking and leaving, each within its time limit."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from impasto.core.errors import ImpastoError, ServerUnreachable, UsageError
from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.client.transport import SocketTransport
from impasto.server.protocol import messages
from tests.plates import noise
from tests.server.running_server import free_port
from tests.server.scripted_server import LIMIT_S, Script, SocketServer, serving
from tests.waiting import until

PLATE, LARGE = noise(16, 16, 4), noise(256, 256, 4)
COMMAND = (sys.executable, "-m", "tests.server.scripted_server")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@contextmanager
def server_process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The scripted server as a process of its own, once it serves."""
    environ = {**os.environ, "IMPASTO_RUNTIME": str(folder)}
    with subprocess.Popen([*COMMAND, *arguments], env=environ, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"serving")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def test_frames_pass_through_memory_that_both_map(folder: Path) -> None:
    script = Script()
    with serving(folder, script), Client.connect(folder, start=False) as client:
        for _ in range(5):
            with client.submit(LARGE, style="echo").result(LIMIT_S) as painted:
                assert np.array_equal(painted.pixels, LARGE)
        assert client.transport == "ring"
        assert len(client.styles()) == 100


def test_frames_pass_inside_the_messages(folder: Path) -> None:
    with serving(folder, Script(rings=False)), Client.connect(folder, start=False) as client:
        futures = [client.submit(LARGE + step, style="echo") for step in range(3)]
        for step, future in enumerate(futures):
            assert np.array_equal(future.result(LIMIT_S).pixels, LARGE + step)


def test_a_client_that_is_collected_in_the_thread_of_its_own_sockets_says_goodbye(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(heartbeat_s=0.1)
    others = threading.enumerate()
    send = SocketTransport._send_what_fits

    def collecting(self: SocketTransport) -> None:
        gc.collect()
        send(self)

    with serving(folder, script):
        client = Client.connect(folder, start=False)
        gc.disable()
        try:
            holder: list[Any] = [client]
            holder.append(holder)
            del client, holder
            monkeypatch.setattr(SocketTransport, "_send_what_fits", collecting)
            until(lambda: script.seen_of(messages.Goodbye))
        finally:
            gc.enable()
    until(lambda: all(each.name != "impasto-connection" or each in others for each in threading.enumerate()))


def test_without_a_server_a_client_says_how_to_start_one(folder: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match="impasto serve"):
        Client.connect(folder, start=False)
    assert time.monotonic() - begun < 1


def test_a_stopped_server_is_given_up_in_time_and_closing_takes_less_than_a_second(
    folder: Path,
) -> None:
    with server_process(folder, "--heartbeat", "0.2") as server:
        client = Client.connect(folder, start=False)
        future = client.submit(PLATE, style="hold")
        client.ping()
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(ServerUnreachable, match=r"within 0\.3 s"):
            client.status(timeout_s=0.3)
        with pytest.raises(ServerUnreachable, match="has not answered"):
            future.result(LIMIT_S)
        begun = time.monotonic()
        client.close()
        assert time.monotonic() - begun < 1


def test_closing_takes_less_than_a_second_when_the_server_is_dead(folder: Path) -> None:
    with server_process(folder) as server:
        client = Client.connect(folder, start=False)
        futures = [client.submit(PLATE, style="hold") for _ in range(2)]
        server.kill()
        begun = time.monotonic()
        client.close()
        assert time.monotonic() - begun < 1
        assert all(isinstance(future.exception(LIMIT_S), ImpastoError) for future in futures)


def test_a_late_answer_of_a_server_that_was_given_up_changes_nothing(folder: Path) -> None:
    with server_process(folder) as server, Client.connect(folder, start=False) as client:
        client.ping()
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(ServerUnreachable):
            client.ping(timeout_s=0.2)
        server.send_signal(signal.SIGCONT)
        assert client.ping(timeout_s=LIMIT_S) < LIMIT_S


@pytest.mark.parametrize("how", ["return", "raise", "sys.exit"])
def test_an_interpreter_with_an_open_client_and_a_frame_under_way_leaves_at_once(folder: Path, how: str) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path; from impasto.server.client import Client;"
        "client = Client.connect(Path(sys.argv[1]), start=False);"
        "future = client.submit(np.zeros((8, 8, 4), np.float32), style='hold'); client.ping();"
        + {"return": "", "raise": "raise ZeroDivisionError", "sys.exit": "sys.exit(0)"}[how]
    )
    with serving(folder, Script()):
        run = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, timeout=LIMIT_S)
        assert b"ZeroDivisionError" in run.stderr if how == "raise" else run.stderr == b""
        assert run.returncode == (1 if how == "raise" else 0)


def test_an_interpreter_whose_server_is_dead_leaves_at_once(folder: Path) -> None:
    program = (
        "import os, sys, signal, numpy as np; from pathlib import Path; from impasto.server.client import Client;"
        "client = Client.connect(Path(sys.argv[1]), start=False);"
        "future = client.submit(np.zeros((8, 8, 4), np.float32), style='hold'); client.ping();"
        "os.kill(client.welcome.pid, signal.SIGSTOP)"
    )
    with server_process(folder):
        run = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, timeout=LIMIT_S)
        assert (run.returncode, run.stderr) == (0, b"")


def test_a_forked_child_connects_anew_and_leaves_its_parent_alone(folder: Path) -> None:
    program = (
        "import os, sys, numpy as np; from pathlib import Path; from impasto.server.client import Client\n"
        "from impasto.core.errors import UsageError\n"
        "client = Client.connect(Path(sys.argv[1]), start=False)\n"
        "pixels = np.ones((8, 8, 4), np.float32)\n"
        "held = client.submit(pixels, style='echo').result(5)\n"
        "session = client.welcome.session\n"
        "inherited = client.submit(pixels, style='hold')\n"
        "child = os.fork()\n"
        "good = np.array_equal(client.submit(pixels * 2, style='echo').result(5).pixels, pixels * 2)\n"
        "if child == 0:\n"
        "    good = good and client.welcome.session != session\n"
        "    try:\n"
        "        inherited.result()\n"
        "        good = False\n"
        "    except UsageError:\n"
        "        inherited.cancel()\n"
        "    client.close()\n"
        "    sys.exit(0 if good else 1)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "good = good and client.welcome.session == session and np.array_equal(held.pixels, pixels)\n"
        "good = good and client.ping() < 5 and not inherited.done()\n"
        "sys.exit(code if good else 2)\n"
    )
    with server_process(folder):
        run = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, timeout=LIMIT_S)
        assert (run.returncode, run.stderr) == (0, b"")


def test_clients_that_come_and_go_leave_no_thread_and_no_open_file(folder: Path) -> None:
    with serving(folder, Script()):
        for _ in range(2):
            with Client.connect(folder, start=False) as client:
                client.submit(PLATE, style="echo").result(LIMIT_S)
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            with Client.connect(folder, start=False) as client:
                client.submit(PLATE, style="echo").result(LIMIT_S)
        until(lambda: threading.active_count() <= threads)
        until(lambda: len(os.listdir("/proc/self/fd")) <= files)


@pytest.mark.parametrize(
    "address", ["tcp://host", "tcp://host:0", "tcp://host:65535", "http://host:80", "tcp://ho st:80", "tcp://h:1;x"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="tcp://HOST:PORT"):
        Client.connect(address)


def test_a_network_is_never_entered_without_keys() -> None:
    with pytest.raises(UsageError, match="impasto auth new"):
        Client.connect("tcp://127.0.0.1:7000")


@contextmanager
def network_server() -> Iterator[tuple[str, bytes]]:
    """The scripted server on a port of this machine with CURVE, which lets every key in; its address and its key."""
    public, secret = zmq.curve_keypair()

    def set_up(router: Any) -> None:
        router.setsockopt(zmq.CURVE_SERVER, 1)
        router.setsockopt(zmq.CURVE_SECRETKEY, secret)

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with SocketServer(Script(rings=False), address, f"tcp://127.0.0.1:{port + 1}", set_up):
        yield address, public


def test_frames_pass_over_a_network_with_keys() -> None:
    with (
        network_server() as (address, key),
        Client.connect(address, auth=ClientAuth(*zmq.curve_keypair(), key)) as client,
    ):
        for _ in range(2):
            assert np.array_equal(client.submit(LARGE, style="echo").result(LIMIT_S).pixels, LARGE)
        assert client.transport == "inline"
        assert client._requests.rate.bytes_per_s is not None
        assert client._requests.rate.bytes_per_s > 1e6


def test_the_key_of_another_server_is_noticed_in_time() -> None:
    with network_server() as (address, _):
        stranger = zmq.curve_keypair()[0]
        begun = time.monotonic()
        with pytest.raises(ServerUnreachable, match="make sure that its public key"):
            Client.connect(address, auth=ClientAuth(*zmq.curve_keypair(), stranger), timeout_s=2.0)
        assert time.monotonic() - begun < 4


def test_a_port_where_nobody_listens_is_given_up_in_time() -> None:
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match="make sure that it runs"):
        Client.connect(
            "tcp://127.0.0.1:9", auth=ClientAuth(*zmq.curve_keypair(), zmq.curve_keypair()[0]), timeout_s=0.5
        )
    assert time.monotonic() - begun < 2


def test_a_shot_is_resumed_on_a_server_that_is_started_again(
    folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    command = (*COMMAND, "--lives", "20")
    with Client.connect(folder, command=command) as client:
        first = client.welcome.pid
        events: list[Any] = []
        job = messages.ShotJob(messages.RenderSettings("die"), "/in", "/out.####.exr")
        try:
            done = client.render_shot(job, events.append)
            assert client.welcome.pid != first
            stored = [each for event in events if isinstance(event, messages.ShotProgress) for each in event.stored]
            assert [each.number for each in stored] == list(range(1, 11))
            assert (done.rendered, done.skipped) == (10, 0)
        finally:
            os.kill(client.welcome.pid, signal.SIGKILL)
