"""Connections without a key, folders that do not answer and odd files among the keys: the server goes on."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from impasto.core.errors import ServerError
from impasto.server import auth
from impasto.server.auth import AllowList
from impasto.server.front.accepting import NETWORK_FILES, AcceptControl, NetworkListener
from impasto.server.front.housekeeping import Housekeeping
from impasto.server.front.library import Library
from tests.server.running_server import Sandbox, free_port, served
from tests.server.wire_client import WireClient
from tests.waiting import until


def add_key(folder: Path, name: str) -> bytes:
    public, _ = zmq.curve_keypair()
    auth.add(folder, name, public.decode())
    return public


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("where", ["listdir", "lstat", "open"])
def test_a_folder_of_keys_that_does_not_answer_keeps_the_last_list(
    where: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = add_key(tmp_path / "keys", "anna")
    allowed = AllowList(tmp_path / "keys")
    assert allowed.user_of(public)

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    late = add_key(tmp_path / "keys", "late")
    with monkeypatch.context() as broken:
        broken.setattr(Path if where == "lstat" else os, where, refuse)
        assert allowed.user_of(public) is not None
        assert os.strerror(number) in allowed.problems[0]
    assert allowed.user_of(late) is not None
    assert allowed.problems == ()


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "link to a fifo"])
def test_what_is_no_plain_file_among_the_keys_lets_nobody_in_and_stops_nobody(kind: str, tmp_path: Path) -> None:
    public = add_key(tmp_path / "keys", "anna")
    odd = tmp_path / "keys" / "allowed" / "zz.key"
    match kind:
        case "fifo":
            os.mkfifo(odd, 0o600)
        case "folder":
            odd.mkdir(mode=0o600)
        case "socket":
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(str(odd))
            bound.close()
            odd.chmod(0o600)
        case "link to a fifo":
            os.mkfifo(tmp_path / "fifo", 0o600)
            odd.symlink_to(tmp_path / "fifo")
    found: list[Any] = []
    allowed = AllowList(tmp_path / "keys")
    asking = threading.Thread(target=lambda: found.append(allowed.user_of(public)), daemon=True)
    asking.start()
    asking.join(5)
    assert [each.name for each in found] == ["anna"]
    assert "zz.key" in allowed.problems[0]


def test_a_housekeeping_step_that_fails_degrades_the_health_and_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served() as server, WireClient(server.folder, hello=True) as client:
        client.still_served()

        def refuse(self: Library, now: float) -> Any:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        monkeypatch.setattr(Library, "poll", refuse)
        problem = until(lambda: [each for each in client.status().problems if "Stale file handle" in each])[0]
        assert "look for changed styles" in problem
        assert client.status().health == "degraded"
        client.still_served()
        monkeypatch.undo()
        until(lambda: client.status().health == "ok")


def test_a_housekeeping_step_is_logged_once_until_it_fails_in_another_way() -> None:
    class Log:
        lines = 0

        def note(self, *_: Any, **__: Any) -> None:
            self.lines += 1

        def error_facts(self, error: Exception) -> None:
            pass

    def refuse(text: str) -> Any:
        raise OSError(text)

    log = Log()
    housekeeping = Housekeeping(log)  # type: ignore[arg-type]
    for text in ("a", "a", "a", "b", "a"):
        housekeeping.run("tidy", lambda text=text: refuse(text))
    assert log.lines == 3
    assert "tidy" in housekeeping.problems()[0]
    housekeeping.run("tidy", lambda: None)
    assert housekeeping.problems() == ()


def answers(sandbox: Sandbox) -> bool:
    try:
        with sandbox.client(timeout_s=2.0) as client:
            return client.status().pid == sandbox.server.pid
    except ServerError:
        return False


def test_idle_connections_without_a_key_do_not_end_a_server_of_few_files(sandbox: Sandbox) -> None:
    keys, port = sandbox.root / "keys", free_port()
    add_key(keys, "anna")
    server = sandbox.serve(rlimits={"RLIMIT_NOFILE": 256}, listen=f"tcp://127.0.0.1:{port}", keys=str(keys))
    idle = []
    try:
        for number in range(300):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port + number % 2))
            idle.append(each)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            assert server.alive, server.complaints()[-500:]
            time.sleep(0.05)
        until(lambda: answers(sandbox), 20)  # once those that showed no key in five seconds are gone
    finally:
        for each in idle:
            each.close()
    assert server.alive
    with sandbox.client() as client:
        until(lambda: not client.status().problems)


def test_idle_connections_of_this_machine_do_not_end_a_server_of_few_files(sandbox: Sandbox) -> None:
    server = sandbox.serve(rlimits={"RLIMIT_NOFILE": 128})
    idle = []
    try:
        for _ in range(140):
            each = socket.socket(socket.AF_UNIX)
            each.setblocking(False)
            try:
                each.connect(str(sandbox.run / "control.sock"))
            except OSError:
                each.close()
                time.sleep(0.01)
            else:
                idle.append(each)
                time.sleep(0.002)
        assert server.alive, server.complaints()[-500:]
    finally:
        for each in idle:
            each.close()
    until(lambda: (sandbox.run / "control.sock").exists())
    with sandbox.client() as client:
        assert client.status().pid == server.pid


def test_a_paused_listener_takes_nobody_and_keeps_those_it_has() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        port = listener.getsockname()[1]
        before = set(os.listdir("/proc/self/fd"))
        found = NetworkListener.at(port)
        assert found is not None
        # one number for the listener; the listing held one while it ran
        assert len(set(os.listdir("/proc/self/fd")) - before) == 1
        control = AcceptControl()
        control.add(found)
        with socket.create_connection(("127.0.0.1", port)) as early:
            taken, _ = listener.accept()
            control.update(NETWORK_FILES - 1, 0)
            assert control.problems()
            with pytest.raises(TimeoutError):
                socket.create_connection(("127.0.0.1", port), timeout=0.3)
            early.sendall(b"still there")
            assert taken.recv(64) == b"still there"
            taken.close()
        control.update(NETWORK_FILES + 1, 0)
        assert control.problems(), "it waits for more room than it stopped at"
        control.update(1000, 0)
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        control.update(1000, 10_000)
        assert control.problems()
        control.close()
