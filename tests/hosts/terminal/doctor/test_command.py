"""`impasto doctor`: finds nothing wrong here, and says so when there is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from impasto.core.errors import IncompatibleServer, StyleError
from impasto.core.media import protocols
from impasto.hosts.events import CheckDone
from impasto.hosts.terminal.doctor import command, installation, machine
from impasto.hosts.terminal.exit_codes import INTERNAL
from impasto.hosts.terminal.server.version_check import numbers_in, own_version
from impasto.server.client.transport import ChannelName
from impasto.server.protocol.codec import Part
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import Rejected
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder
from tests.hosts.terminal.conftest import Impasto
from tests.server.scripted_server import Script, serving


def test_a_sound_installation_passes(impasto: Impasto) -> None:
    done = impasto("doctor", "--json")
    *checks, last = done.events
    assert [check for check in checks if check["state"] == "failed"] == []
    assert {"python", "numpy", "torch", "device cpu", "colour", "style identity", "render"} <= {
        check["name"] for check in checks
    }
    assert (done.code, last["event"]) == (0, "finished")
    assert all(check["hint"] for check in checks if check["state"] != "ok")


def test_the_colour_spaces_are_listed_for_a_person_to_read(impasto: Impasto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(command, "CHECKS", (installation.check_colour,))
    lines = impasto("doctor").out.splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 9) for line in lines[1:-1])
    assert "ACEScg" in "".join(lines)
    (check, _) = impasto("doctor", "--json").events
    names = check["found"].partition(": ")[2].split(", ")
    shown = " ".join(line.strip() for line in lines[:-1]).partition(": ")[2].partition(": ")[2]
    assert shown.split(", ") == names


def test_the_protocols_of_streams_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = installation.check_streams()
    assert {"rtsp", "udp", "http"} <= set(check.found.partition(";")[0].split(", "))
    monkeypatch.setattr(protocols, "has_protocol", lambda name: name != "srt")
    (check,) = installation.check_streams()
    assert check.found.endswith("tcp; not srt")


def test_codecs_under_the_gpl_are_told() -> None:
    found = {check.name: check.found for check in installation.check_movies()}
    assert "libx264 and libx265, which are under the GPL" in found["codec licences"]


def test_the_oldest_versions_are_those_that_mended_known_holes() -> None:
    oldest = {name: numbers_in(version) for name, version, _ in installation.needed_packages()}
    assert oldest["OpenEXR"] >= (3, 4, 15)
    assert oldest["OpenImageIO"] >= (3, 1, 14)


def fails(error: Exception) -> command.Check:
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
    monkeypatch.setattr(command, "CHECKS", (fails(error), installation.check_python))
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
    assert numbers_in("2.13.0+cpu") > numbers_in("2.6")


def test_the_packages_are_those_that_the_distribution_asks_for() -> None:
    needed = {(name, extra) for name, _, extra in installation.needed_packages()}
    assert {("numpy", ""), ("torch", "server")} <= needed
    assert "pytest" not in {name for name, _ in needed}


def findings(check: command.Check) -> list[tuple[str, str]]:
    return [(done.state, done.hint) for done in command.examined(check)]


def test_a_server_of_another_version_is_pointed_out(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(machine.check_server) == [("ok", "")]
    with serving(runtime, Script()):
        ((state, hint),) = findings(machine.check_server)
    assert (state, "impasto stop" in hint) == ("warning", True)


def test_a_server_of_another_protocol_fails(runtime: Path) -> None:
    class OfAnotherMajor(Script):
        def take(self, channel: ChannelName, parts: Sequence[Part]) -> None:
            refused = IncompatibleServer("expected protocol 2 of the client, got 1.1; upgrade the client's impasto")
            self.say(channel, Rejected(facts_of(refused)), ())

    with serving(runtime, OfAnotherMajor()):
        (found,) = command.examined(machine.check_server)
    assert (found.state, "expected protocol 2" in found.found) == ("failed", True)
    assert f"kill {os.getpid()}" in found.hint


def test_a_server_that_does_not_answer_fails(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ANSWER_S", 0.2)
    with hold_lock(prepare_folder(runtime), Owner(os.getpid(), own_version(), "00", 0.0)):
        (found,) = command.examined(machine.check_server)
    assert (found.state, "did not answer" in found.found) == ("failed", True)


def test_a_folder_that_others_reach_into_is_pointed_out(runtime: Path) -> None:
    runtime.mkdir(mode=0o755)
    runtime.chmod(0o755)
    assert [state for state, _ in findings(machine.check_server)] == ["failed"]


@pytest.mark.skipif(os.name == "nt", reason="no such limits")
def test_little_room_and_few_files_are_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOMY_BYTES", 1 << 60)
    monkeypatch.setattr(machine, "OPEN_FILES", 1 << 40)
    assert [state for state, _ in findings(machine.check_shared_memory)] == ["warning"]
    assert [state for state, _ in findings(machine.check_open_files)] == ["warning"]
