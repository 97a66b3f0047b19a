"""What the front writes down: when, in which order, and with which times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.core.errors import StyleError
from impasto.server.front.counters import Counters
from impasto.server.front.event_log import BATCH, EventLog, LogFile, RequestOutcome
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import Done, Failed

WALL_S = 1_800_000_000.0
ID = bytes(16)


class Log:
    """An event log with a file and a clock."""

    def __init__(self, path: Path) -> None:
        self.now = 100.0
        self.path = path
        self.file = LogFile(path, wall_clock=lambda: WALL_S + self.now)
        self.events = EventLog(self.file, Counters(), lambda: self.now)
        self.session: Any = SimpleNamespace(hello=SimpleNamespace(client="test"), user="local")

    def end(self, terminal: Done | Failed) -> None:
        self.events.request_ended(RequestOutcome(ID, self.session, "echo", False, 1, 100.0, self.now, terminal))
        self.events.catch_up()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "events.log")
    yield made
    made.file.close()


def test_frames_that_went_well_are_counted_at_once_and_written_in_batches(log: Log) -> None:
    for count in range(1, BATCH):
        log.end(Done(ID, {"network": 0.5}))
        assert log.events.counters.totals()["frames"] == count
    assert log.lines() == []
    log.end(Done(ID, {"network": 0.5}))
    assert [line["outcome"] for line in log.lines()] == ["done"] * BATCH


def test_a_failure_is_written_at_once_and_after_what_was_before_it(log: Log) -> None:
    log.end(Done(ID, {}))
    log.end(Failed(ID, facts_of(StyleError("broken"))))
    assert [line["outcome"] for line in log.lines()] == ["done", "failed"]


def test_a_line_that_was_written_later_bears_the_time_at_which_it_happened(log: Log) -> None:
    log.end(Done(ID, {}))
    log.now += 2.0
    log.events.note("info", "draining")
    first, second = log.lines()
    assert (first["event"], second["event"]) == ("frame", "draining")
    assert first["time"] == "2027-01-15T08:01:40.000Z"
    assert second["time"] == "2027-01-15T08:01:42.000Z"
