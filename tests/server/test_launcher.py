"""A server is started once, outlives the program that started it, and says why it does not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from impasto.core.errors import ServerUnreachable
from impasto.server.client import Client
from impasto.server.launcher import default_command, last_line, launch
from impasto.server.runtime_dir import Owner, log_path, running
from tests.server.scripted_server import LIMIT_S
from tests.waiting import until

COMMAND = (sys.executable, "-m", "tests.server.scripted_server", "--lives", "20")


@pytest.fixture(autouse=True)
def _source_on_the_path(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repository))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def stop(owner: Owner, folder: Path) -> None:
    os.kill(owner.pid, signal.SIGKILL)
    until(lambda: running(folder) is None)


def test_a_server_is_started_and_found_again(folder: Path) -> None:
    owner = launch(folder, COMMAND)
    try:
        assert running(folder) == owner
        assert launch(folder, ("/never/run",)) == owner
        with Client.connect(folder, start=False) as client:
            assert client.ping() < LIMIT_S
    finally:
        stop(owner, folder)


def test_two_that_launch_at_once_get_one_server(folder: Path) -> None:
    owners: list[Owner] = []
    threads = [threading.Thread(target=lambda: owners.append(launch(folder, COMMAND))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    try:
        assert len(owners) == 4
        assert len({owner.pid for owner in owners}) == 1
        assert log_path(folder).read_text().count("serving") == 1
    finally:
        stop(owners[0], folder)


def test_a_server_outlives_the_program_that_started_it_and_its_interrupt(folder: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from impasto.server.launcher import launch;"
        "print(launch(Path(sys.argv[1]), sys.argv[2:]).pid, flush=True); os.killpg(0, signal.SIGINT)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(folder), *COMMAND],
        capture_output=True,
        timeout=LIMIT_S,
        start_new_session=True,
    )
    owner = running(folder)
    assert owner is not None
    try:
        assert owner.pid == int(run.stdout)
        with Client.connect(folder, start=False) as client:
            assert client.ping() < LIMIT_S
    finally:
        stop(owner, folder)


def test_a_server_that_ends_is_quoted(folder: Path) -> None:
    with pytest.raises(ServerUnreachable, match=r"code 3; its log '.*' ends with: no device is called 'cuda:9'; there"):
        launch(folder, (*COMMAND, "--refuse"))


def test_a_server_that_does_not_come_up_is_quoted_in_time_and_ended(folder: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ServerUnreachable, match=r"within 1\.5 s.*loading, and loading"):
        launch(folder, (*COMMAND, "--idle"), timeout_s=1.5)
    assert time.monotonic() - begun < 4
    assert running(folder) is None


def test_a_command_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ServerUnreachable, match="`/nowhere/impasto serve`"):
        launch(folder, ("/nowhere/impasto", "serve"))


def test_the_log_is_appended_to_and_private(folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(ServerUnreachable):
            launch(folder, (*COMMAND, "--refuse"))
    assert log_path(folder).read_text().count("cuda:9") == 2
    assert log_path(folder).stat().st_mode & 0o777 == 0o600


def test_a_server_that_was_ended_leaves_no_zombie(folder: Path) -> None:
    owner = launch(folder, COMMAND)
    stop(owner, folder)
    until(lambda: not Path(f"/proc/{owner.pid}").exists())


def test_a_python_serves_by_its_module() -> None:
    for name in ("/usr/bin/python3.11", "/opt/blender/python", "C:/Python/pythonw.exe"):
        assert default_command(name) == (name, "-m", "impasto.hosts.terminal", "serve", "--idle-exit", "900")


def test_inside_a_host_the_command_on_the_path_serves(tmp_path: Path) -> None:
    (tmp_path / "impasto").write_text("#!/bin/sh\n")
    (tmp_path / "impasto").chmod(0o755)
    for name in ("/opt/blender/blender", "", "/opt/Resolve/bin/resolve"):
        assert default_command(name, {"PATH": str(tmp_path)})[:2] == (str(tmp_path / "impasto"), "serve")


def test_inside_a_host_without_the_command_one_sentence_says_what_to_do() -> None:
    with pytest.raises(ServerUnreachable, match="'/opt/blender/blender' is not Python; run `impasto serve`"):
        default_command("/opt/blender/blender", {"PATH": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("\n \n", ""),
        ("first\nlast\n\n", "last"),
        ("bell \x1b[31mred\x07", "bell  [31mred "),
        ("x" * 9000, "x" * 400),
    ],
)
def test_the_last_line_of_a_log_is_one_line_of_letters(tmp_path: Path, text: str, last: str) -> None:
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == last.strip()
