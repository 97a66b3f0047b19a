"""`impasto styles`."""

from __future__ import annotations

from impasto.core.params import PARAMETERS
from impasto.core.style_file import offered_by, style_files
from impasto.core.style_reference import name_of
from tests.hosts.terminal.conftest import Impasto


def test_every_style_has_a_row(impasto: Impasto) -> None:
    done = impasto("styles")
    assert done.code == 0
    for heading in ("name", "size", "halo", "licence", "description"):
        assert heading in done.out.splitlines()[0]
    assert "impasto style show NAME" in done.out
    assert "photographs from" not in done.out
    for name in style_files():
        assert name in done.out


def test_programs_get_every_style(impasto: Impasto) -> None:
    events = impasto("styles", "--json").events
    styles, last = [event for event in events if event["event"] == "style"], events[-1]
    offered = [name_of(str(each)) for path in style_files().values() for each, _ in offered_by(path)]
    assert [event["name"] for event in styles] == offered
    assert all(event["halo"] > 0 and event["licence"] and len(event["sha256"]) == 64 for event in styles)
    assert last["event"] == "finished"


def test_programs_get_the_parameters_to_build_controls_from(impasto: Impasto) -> None:
    told = [event for event in impasto("styles", "--json").events if event["event"] == "parameter"]
    assert [event["name"] for event in told] == [each.name for each in PARAMETERS]
    assert all(event["minimum"] <= event["default"] <= event["maximum"] and event["help"] for event in told)
