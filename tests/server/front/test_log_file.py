"""The log file: it never gets in the way, whatever the facts, the disk and the path."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from impasto.server.front.event_log import LINE_BYTES, LogFile, incident


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_an_event_is_a_line_with_its_time_level_and_facts(path: Path) -> None:
    log = LogFile(path, wall_clock=lambda: 1_800_000_000.25)
    log.write("worker_lost", "warning", worker=3, why="killed by SIGKILL", seconds=1.5, id=b"\x01\xff", nothing=None)
    log.close()
    assert lines(path) == [
        {
            "time": "2027-01-15T08:00:00.250Z", "level": "warning", "event": "worker_lost", "worker": 3,
            "why": "killed by SIGKILL", "seconds": 1.5, "id": "01ff", "nothing": None,
        }
    ]  # fmt: skip


def test_the_log_belongs_to_the_user_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        log = LogFile(path)
        log.write("started")
        log.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_value_can_end_a_line_or_steer_a_terminal(path: Path) -> None:
    log = LogFile(path)
    log.write("refused", name='x"}\n{"event":"forged"}\r\x1b[2J\u202e\u2028\x00\ud800', **{"a\nb": 1})
    log.close()
    assert path.read_bytes().count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in path.read_bytes()[:-1])
    (line,) = lines(path)
    assert line["event"] == "refused"
    assert "forged" in line["name"]


def test_the_head_of_a_line_cannot_be_forged_by_a_fact(path: Path) -> None:
    log = LogFile(path)
    log.write("refused", time="long ago")
    log.close()
    assert lines(path)[0]["time"] != "long ago"


@given(
    facts=some.dictionaries(
        some.text(max_size=80).filter(lambda name: name not in ("event", "level", "self")),
        some.one_of(
            some.text(max_size=5000), some.integers(), some.floats(), some.binary(max_size=3000), some.none(),
            some.lists(some.integers()), some.just(10**5000),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_whatever_the_facts_a_line_is_short_and_json(
    facts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    log = LogFile(path)
    log.write("event", **facts)
    log.close()
    assert log.problem == ""
    content = path.read_bytes()
    assert len(content) <= LINE_BYTES
    assert content.count(b"\n") == 1
    json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_long_value_is_cut_and_the_others_stay(path: Path) -> None:
    log = LogFile(path)
    log.write("failed", message="begin" + "m" * 100_000 + "end", incident="abcd1234")
    log.close()
    (line,) = lines(path)
    assert line["incident"] == "abcd1234"
    assert line["message"].startswith("begin")
    assert line["message"].endswith("end")
    assert 1000 < len(line["message"]) < LINE_BYTES


def test_full_logs_are_kept_aside_and_the_oldest_goes(path: Path) -> None:
    log = LogFile(path, largest=1000, kept=3)
    for number in range(100):
        log.write("event", number=number)
    log.close()
    files = [path, path.with_name("log.jsonl.1"), path.with_name("log.jsonl.2")]
    assert sorted(path.parent.iterdir()) == files
    assert all(file.stat().st_size <= 1000 for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    numbers = [line["number"] for file in reversed(files) for line in lines(file)]
    assert numbers == list(range(numbers[0], 100))


def test_another_start_goes_on_with_the_same_log(path: Path) -> None:
    for _ in range(2):
        log = LogFile(path)
        log.write("started")
        log.close()
    assert len(lines(path)) == 2


def test_a_log_that_cannot_be_written_is_a_problem_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "later" / "log.jsonl"
    log = LogFile(path)
    log.write("first")
    log.write("second")
    assert "could not write the log" in log.problem
    assert "No such file" in log.problem
    path.parent.mkdir()
    log.write("third")
    log.close()
    assert log.problem == ""
    assert [(line["event"], line["lines_lost_before"]) for line in lines(path)] == [("third", 2)]


@pytest.mark.parametrize("obstacle", ["link", "pipe", "folder"])
def test_nothing_but_a_file_is_taken_for_the_log(path: Path, obstacle: str) -> None:
    if obstacle == "link":
        path.with_name("victim").write_text("precious")
        path.symlink_to(path.with_name("victim"))
    elif obstacle == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    log = LogFile(path)
    log.write("event")
    assert log.problem
    if obstacle == "link":
        assert path.read_text() == "precious"


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file may grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    yield 200
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_torn_by_a_full_disk_does_not_spoil_the_next(path: Path, small_disk: int) -> None:
    log = LogFile(path)
    for _ in range(4):
        log.write("event", text="x" * 60)
    assert log.problem
    assert path.stat().st_size == small_disk
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit[1], limit[1]))
    log.write("after")
    log.close()
    assert log.problem == ""
    assert json.loads(path.read_bytes().splitlines()[-1])["event"] == "after"


def test_incidents_differ() -> None:
    assert len({incident() for _ in range(100)}) == 100
    assert len(incident()) == 8
