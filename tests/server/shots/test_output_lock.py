"""Two runs never write the same frames, and a run that died is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from impasto.core.errors import OutputError
from impasto.server.shots import output_lock
from impasto.server.shots.output_lock import OutputLock, locked

HOLD = """
import sys
from impasto.server.shots.output_lock import OutputLock
lock = OutputLock()
lock.take(sys.argv[1], (1, 10))
print(1, flush=True)
input()
"""


@contextmanager
def holder(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes frames 1 to 10."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_is_refused_with_process_and_machine_of_the_first(tmp_path: Path) -> None:
    output = tmp_path / "o.####.exr"
    with holder(output) as first:
        with pytest.raises(OutputError, match=f"process {first.pid} on '{socket.gethostname()}' does; "):
            OutputLock().take(str(output), (10, 20), wait_s=0)
        other = OutputLock()
        other.take(str(output), (11, 20), wait_s=0)
        other.release()
        with locked(str(tmp_path / "p.####.exr")):
            pass


def test_the_frames_of_a_process_that_was_killed_are_free_and_nothing_stays(tmp_path: Path) -> None:
    output = tmp_path / "o.####.exr"
    with holder(output) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert len(os.listdir(tmp_path)) == 1
        with locked(str(output)):
            assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == []


def test_a_lock_is_waited_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = OutputLock(), OutputLock()
    first.take(str(tmp_path / "a.mp4"))
    monkeypatch.setattr(output_lock.time, "sleep", lambda seconds: first.release())
    second.take(str(tmp_path / "a.mp4"))
    second.release()
    second.release()


def test_a_disk_without_locks_and_a_folder_that_takes_no_file_hold_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(str(tmp_path / "missing" / "a.mp4")):
        pass
    monkeypatch.setattr(output_lock, "take_lock", lambda *_, **__: False)
    with locked(str(tmp_path / "a.mp4")):
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[" * 4000, json.dumps({"host": "a"}), "\0"])
def test_a_forged_lock_file_stops_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / ".a.mp4.7-ab.lock").write_text(text)
    os.symlink("/etc/passwd", tmp_path / ".a.mp4.8-ab.lock")
    with locked(str(tmp_path / "a.mp4")):
        pass
    assert os.listdir(tmp_path) == [".a.mp4.8-ab.lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_in_the_place_of_a_lock_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".o.png.1-deadbeef.lock")
    with locked(str(tmp_path / "o.png")):
        pass
