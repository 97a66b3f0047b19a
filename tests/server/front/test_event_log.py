"""What the front writes down: when, in which order, and with which times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.core.errors import StyleError
from impasto.server.front.event_log import HANDFUL, Journal
from impasto.server.front.requests import Task
from impasto.server.front.telemetry import Log, Telemetry
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import Done, Failed

WALL_S = 1_800_000_000.0
ID = bytes(16)


class Desk:
    """A journal with a log and a clock."""

    def __init__(self, path: Path) -> None:
        self.now = 100.0
        self.path = path
        self.log = Log(path, wall_clock=lambda: WALL_S + self.now)
        self.journal = Journal(self.log, Telemetry(), lambda: self.now)
        session: Any = SimpleNamespace(hello=SimpleNamespace(client="test"), user="local")
        self.task = Task(id=ID, session=session, digest=ID, arrived_s=100.0, label="echo")

    def settle(self, terminal: Done | Failed) -> None:
        self.journal.settled(self.task, terminal, self.now)
        self.journal.catch_up()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "events.log")
    yield made
    made.log.close()


def test_frames_that_went_well_are_counted_at_once_and_written_in_handfuls(desk: Desk) -> None:
    for count in range(1, HANDFUL):
        desk.settle(Done(ID, {"network": 0.5}))
        assert desk.journal.telemetry.counters()["frames"] == count
    assert desk.lines() == []
    desk.settle(Done(ID, {"network": 0.5}))
    assert [line["outcome"] for line in desk.lines()] == ["done"] * HANDFUL


def test_a_failure_is_written_at_once_and_after_what_was_before_it(desk: Desk) -> None:
    desk.settle(Done(ID, {}))
    desk.settle(Failed(ID, facts_of(StyleError("broken"))))
    assert [line["outcome"] for line in desk.lines()] == ["done", "failed"]


def test_a_line_that_was_written_later_bears_the_time_at_which_it_happened(desk: Desk) -> None:
    desk.settle(Done(ID, {}))
    desk.now += 2.0
    desk.journal.note("info", "draining")
    first, second = desk.lines()
    assert (first["event"], second["event"]) == ("frame", "draining")
    assert first["time"] == "2027-01-15T08:01:40.000Z"
    assert second["time"] == "2027-01-15T08:01:42.000Z"
