"""What a server says of itself: a log that never gets in the way, figures, and a health with its reasons."""

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

from impasto.server.front.telemetry import (
    ERRORS_KEPT,
    LINE_BYTES,
    PROBLEMS_SHOWN,
    SPANS_KEPT,
    STAGES,
    Log,
    Rate,
    Stages,
    Telemetry,
    health,
    incident,
)
from impasto.server.protocol.messages import DeviceFacts, ErrorFacts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def device(state: Any, name: str = "cuda:0") -> DeviceFacts:
    return DeviceFacts(name, "A card", state, 1, "float16", 0, (), 0, 0, 0)


def test_an_event_is_a_line_with_its_time_level_and_facts(path: Path) -> None:
    log = Log(path, wall_clock=lambda: 1_800_000_000.25)
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
        log = Log(path)
        log.write("started")
        log.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_value_can_end_a_line_or_steer_a_terminal(path: Path) -> None:
    log = Log(path)
    log.write("refused", name='x"}\n{"event":"forged"}\r\x1b[2J\u202e\u2028\x00\ud800', **{"a\nb": 1})
    log.close()
    assert path.read_bytes().count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in path.read_bytes()[:-1])
    (line,) = lines(path)
    assert line["event"] == "refused"
    assert "forged" in line["name"]


def test_the_head_of_a_line_cannot_be_forged_by_a_fact(path: Path) -> None:
    log = Log(path)
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
    log = Log(path)
    log.write("event", **facts)
    log.close()
    assert log.problem == ""
    content = path.read_bytes()
    assert len(content) <= LINE_BYTES
    assert content.count(b"\n") == 1
    json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_long_value_is_cut_and_the_others_stay(path: Path) -> None:
    log = Log(path)
    log.write("failed", message="begin" + "m" * 100_000 + "end", incident="abcd1234")
    log.close()
    (line,) = lines(path)
    assert line["incident"] == "abcd1234"
    assert line["message"].startswith("begin")
    assert line["message"].endswith("end")
    assert 1000 < len(line["message"]) < LINE_BYTES


def test_full_logs_are_kept_aside_and_the_oldest_goes(path: Path) -> None:
    log = Log(path, largest=1000, kept=3)
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
        log = Log(path)
        log.write("started")
        log.close()
    assert len(lines(path)) == 2


def test_without_a_path_nothing_is_written() -> None:
    log = Log(None)
    log.write("started")
    log.close()
    assert log.problem == ""


def test_a_log_that_cannot_be_written_is_a_problem_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "later" / "log.jsonl"
    log = Log(path)
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
    log = Log(path)
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
    log = Log(path)
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


def test_a_rate_is_the_mean_of_the_last_ten_seconds() -> None:
    rate = Rate()
    assert rate.per_second(0.0) == 0.0
    for frame in range(60 * 30):
        rate.add(5.0 + frame / 60)
    assert rate.per_second(35.0) == pytest.approx(60, abs=1)
    assert rate.per_second(40.0) == pytest.approx(30, abs=1)
    assert rate.per_second(46.0) == 0.0


def test_a_stage_has_its_last_its_median_and_its_sum() -> None:
    stages = Stages()
    for seconds in (1.0, 9.0, 2.0):
        stages.add({"network": seconds, "upload": 0.5})
    facts = stages.facts()["network"]
    assert (facts.last_s, facts.median_s, facts.total_s, facts.count) == (2.0, 2.0, 12.0, 3)


def test_old_spans_leave_the_median_and_stages_have_a_bound() -> None:
    stages = Stages()
    for seconds in [100.0] * SPANS_KEPT + [1.0] * SPANS_KEPT:
        stages.add({"network": seconds})
    stages.add({f"stage {number}": 1.0 for number in range(100)})
    assert stages.facts()["network"].median_s == 1.0
    assert len(stages.facts()) == STAGES


def test_what_is_counted_has_a_name_of_the_table() -> None:
    telemetry = Telemetry()
    telemetry.count("workers_lost")
    telemetry.count("bytes_in", 1000)
    assert telemetry.counters()["workers_lost"] == 1
    assert telemetry.counters()["bytes_in"] == 1000
    assert telemetry.counters()["frames"] == 0
    with pytest.raises(KeyError):
        telemetry.count("frmaes")


def test_the_counters_fit_into_a_status() -> None:
    assert len(Telemetry().counters()) <= 64


def test_painted_frames_are_counted_timed_and_make_the_rate() -> None:
    telemetry = Telemetry()
    for _ in range(20):
        telemetry.painted(100.0, {"network": 0.25})
    telemetry.painted(100.0, frames=5)
    assert telemetry.counters()["frames"] == 25
    assert telemetry.frames_per_second(100.0) == 2.5
    assert telemetry.stages.facts()["network"].count == 20


def test_the_last_errors_are_kept_with_their_age() -> None:
    telemetry = Telemetry()
    for number in range(ERRORS_KEPT + 4):
        telemetry.failed(float(number), ErrorFacts("style", f"error\n{number}", incident="abcd"))
    errors = telemetry.errors(100.0)
    assert len(errors) == ERRORS_KEPT
    assert (errors[-1].age_s, errors[-1].message, errors[-1].incident) == (81.0, "error 19", "abcd")
    assert errors[0].message == "error 4"


def test_incidents_differ() -> None:
    assert len({incident() for _ in range(100)}) == 100
    assert len(incident()) == 8


@pytest.mark.parametrize(
    ("states", "problems", "draining", "expected", "reason"),
    [
        (["ready"], [], False, "ok", None),
        (["busy", "ready"], [], False, "ok", None),
        (["ready", "starting"], [], False, "ok", None),
        (["starting"], [], False, "starting", "'cuda:0' is starting"),
        (["starting"], ["the log cannot be written"], False, "degraded", "no worker is ready"),
        (["lost"], [], False, "degraded", "no worker is ready"),
        ([], [], False, "degraded", "no worker is ready"),
        (["ready", "lost"], [], False, "degraded", "a worker is lost"),
        (["ready"], ["the log cannot be written"], False, "degraded", "the log cannot be written"),
        (["ready"], [], True, "draining", "takes no more work"),
        (["lost"], ["a worker died"], True, "draining", "takes no more work"),
    ],
)
def test_the_health_follows_from_facts_and_has_reasons(
    states: list[str], problems: list[str], draining: bool, expected: str, reason: str | None
) -> None:
    found, reasons = health([device(state) for state in states], problems, draining=draining)
    assert found == expected
    assert (reasons == ()) == (expected == "ok")
    if reason is not None:
        assert reason in reasons[0]
    assert set(problems) <= set(reasons)


def test_more_reasons_than_a_status_holds_are_counted() -> None:
    _, reasons = health([device("ready")], [f"problem {number}" for number in range(40)])
    assert len(reasons) == PROBLEMS_SHOWN
    assert reasons[-1] == "and 25 more; the log has them all"
