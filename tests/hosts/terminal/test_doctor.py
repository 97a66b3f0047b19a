"""`impasto doctor`: finds nothing wrong here, and says so when there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from impasto.core.errors import StyleError
from impasto.hosts.terminal import doctor
from impasto.hosts.terminal.events import CheckDone
from impasto.hosts.terminal.exit_codes import INTERNAL
from tests.hosts.terminal.conftest import Impasto


def test_a_sound_installation_passes(impasto: Impasto) -> None:
    done = impasto("doctor", "--json")
    *checks, last = done.events
    assert [check for check in checks if check["state"] == "failed"] == []
    assert {"python", "numpy", "torch", "device cpu", "colour", "style identity", "render"} <= {
        check["name"] for check in checks
    }
    assert (done.code, last["event"]) == (0, "finished")
    assert all(check["hint"] for check in checks if check["state"] != "ok")


def test_the_colour_spaces_are_listed(impasto: Impasto) -> None:
    assert "ACEScg" in impasto("doctor").out


def fails(error: Exception) -> doctor.Check:
    def check_something() -> Iterator[CheckDone]:
        yield CheckDone("first", "ok", "found", "")
        raise error

    return check_something


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ModuleNotFoundError("no module", name="av"), "the package 'av' is missing"),
        (StyleError("expected a sound style"), "expected a sound style"),
        (OSError("cannot load the library"), "OSError: cannot load the library"),
    ],
)
def test_what_goes_wrong_is_a_finding(
    error: Exception, found: str, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (fails(error), doctor.check_python))
    done = impasto("doctor", "--json")
    assert [(event.get("name"), event.get("state")) for event in done.events] == [
        ("first", "ok"),
        ("something", "failed"),
        ("python", "ok"),
        (None, None),
    ]
    assert done.events[1]["found"] == found
    assert (done.code, done.events[-1]["event"]) == (INTERNAL, "failed")
    assert "1 of the checks failed" in impasto("doctor").out


def test_versions_are_compared_by_number() -> None:
    assert doctor.numbers_in("2.13.0+cpu") > doctor.numbers_in("2.6")


def test_the_packages_are_those_that_the_distribution_asks_for() -> None:
    needed = {(name, extra) for name, _, extra in doctor.needed_packages()}
    assert {("numpy", ""), ("torch", "server")} <= needed
    assert "pytest" not in {name for name, _ in needed}
