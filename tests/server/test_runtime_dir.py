"""The runtime folder: private, held by one server at a time, and telling who it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from impasto.core.errors import NotPermitted, ServerError, UsageError
from impasto.server.runtime_dir import (
    Owner,
    control_endpoint,
    data_endpoint,
    hold_lock,
    launch_turn,
    log_path,
    prepare_folder,
    running,
    runtime_folder,
)

ME = Owner(os.getpid(), "impasto 9.9", "ab" * 16, 12.5, "tcp://0.0.0.0:7000")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare_folder(tmp_path / "run")


def test_the_folder_is_the_one_that_is_named_else_the_sessions_else_a_temporary_one() -> None:
    assert runtime_folder({"IMPASTO_RUNTIME": "/a/b", "XDG_RUNTIME_DIR": "/run/user/1"}) == Path("/a/b")
    assert runtime_folder({"XDG_RUNTIME_DIR": "/run/user/1"}) == Path("/run/user/1/impasto-server")
    assert runtime_folder({}).name == f"impasto-{os.getuid()}"


def test_everything_of_a_server_is_in_its_folder(folder: Path) -> None:
    assert control_endpoint(folder) == f"ipc://{folder}/control.sock"
    assert data_endpoint(folder) == f"ipc://{folder}/data.sock"
    assert log_path(folder).parent == folder


def test_the_folder_is_made_for_its_user_alone(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert prepare_folder(folder) == folder


def test_a_folder_that_others_can_reach_into_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(NotPermitted, match=r"mode 0755\); run: chmod 700|0755; run: chmod 700"):
        prepare_folder(tmp_path / "open")


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(NotPermitted, match="link"):
        prepare_folder(tmp_path / "link")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotPermitted):
        prepare_folder(tmp_path / "file")


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="IMPASTO_RUNTIME"):
        prepare_folder(tmp_path / ("long" * 30))


def test_the_owner_of_a_folder_can_be_asked_for(folder: Path) -> None:
    assert running(folder) is None
    with hold_lock(folder, ME):
        assert running(folder) == ME
    assert running(folder) is None


def test_a_second_server_is_refused_and_told_of_the_first(folder: Path) -> None:
    with hold_lock(folder, ME):
        with pytest.raises(ServerError, match=rf"process {os.getpid()}, impasto 9\.9.*impasto stop"):
            hold_lock(folder, ME).__enter__()
        assert running(folder) == ME


def test_the_sockets_of_a_dead_server_are_cleared_away_and_those_of_a_living_one_are_not(folder: Path) -> None:
    (folder / "control.sock").touch()
    with hold_lock(folder, ME):
        assert not (folder / "control.sock").exists()
        (folder / "control.sock").touch()
        with pytest.raises(ServerError):
            hold_lock(folder, ME).__enter__()
        assert (folder / "control.sock").exists()


def test_the_lock_of_a_killed_server_is_free_at_once(folder: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from impasto.server.runtime_dir import *;"
        "hold = hold_lock(Path(sys.argv[1]), Owner(1, 'x', 'y', 0.0)); hold.__enter__(); print('held', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"held\n"
        assert running(folder) is not None
        server.kill()
    assert running(folder) is None
    with hold_lock(folder, ME):
        assert running(folder) == ME


def test_looking_does_not_keep_a_server_from_starting(folder: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            running(folder)

    watchers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            with hold_lock(folder, ME):
                pass
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join(5)


def test_a_record_that_cannot_be_read_names_nobody(folder: Path) -> None:
    with hold_lock(folder, ME):
        (folder / "server.lock").write_text("{ half")
        assert running(folder) is None


def test_one_launches_at_a_time(folder: Path) -> None:
    with launch_turn(folder, 1.0) as first:
        assert first
        begun = time.monotonic()
        with launch_turn(folder, 0.1) as second:
            assert not second
        assert time.monotonic() - begun < 5
    with launch_turn(folder, 0.0) as third:
        assert third
