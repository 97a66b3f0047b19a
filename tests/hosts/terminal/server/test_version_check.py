"""After an upgrade: the old server is named, and replaced where nobody uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.hosts.terminal.exit_codes import SERVER
from impasto.hosts.terminal.server import own_server, version_check
from impasto.server.client import Client
from impasto.server.launcher import launch
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder, running
from tests.hosts.terminal.conftest import Impasto
from tests.server.scripted_server import Script, serving


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> str:
    """This process is of a version that was installed while the server ran."""
    monkeypatch.setattr(version_check, "own_version", lambda: "impasto 99.0.0")
    return "impasto 99.0.0"


@pytest.fixture
def old(runtime: Path, served: Impasto) -> Iterator[Owner]:
    """A server that was started in the background before the upgrade."""
    try:
        yield launch(runtime, timeout_s=60.0)
    finally:
        served("stop", "--now")


def warnings(events: list[dict[str, object]]) -> list[object]:
    return [event["message"] for event in events if event["event"] == "warning"]


def test_a_server_of_this_version_gives_no_note() -> None:
    assert version_check.version_note(version_check.own_version(), local=True) is None


@pytest.mark.parametrize(
    ("server", "local", "what"),
    [
        ("impasto 98.1.0", True, "run `impasto stop`, the next render starts the new one"),
        ("impasto 99.1.0", True, "upgrade this installation"),
        ("impasto 98.1.0", False, "upgrade the older of the two"),
    ],
)
def test_a_server_of_another_version_is_named_with_what_to_do(
    upgraded: str, server: str, local: bool, what: str
) -> None:
    note = version_check.version_note(server, local=local)
    assert note is not None
    assert server in note
    assert upgraded in note
    assert what in note


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_an_old_server_is_replaced_as_soon_as_nobody_uses_it(
    old: Owner, upgraded: str, sequence: str, runtime: Path, served: Impasto
) -> None:
    arguments = ("render", sequence, "o.####.exr", "--style", "identity", "--resume", "--json")
    with Client.connect(start=False, name="a host"):
        done = served(*arguments)
        assert [event["event"] for event in done.events[:2]] == ["started", "warning"]
        assert [old.version in str(each) for each in warnings(done.events)] == [True]
        assert "impasto stop" in served("status").out
        assert len(warnings(served("status", "--json").events)) == 1
        found = running(runtime)
        assert found is not None
        assert found.pid == old.pid
    assert served(*arguments).code == 0
    found = running(runtime)
    assert found is not None
    assert found.pid != old.pid


def test_a_server_that_a_user_started_is_left_alone(upgraded: str, runtime: Path) -> None:
    script = Script()
    with serving(runtime, script):
        own_server.replace_idle_server("test")
    assert script.seen == []


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_a_second_server_reports_that_the_first_is_older(upgraded: str, runtime: Path, served: Impasto) -> None:
    with hold_lock(prepare_folder(runtime), Owner(os.getpid(), "impasto 98.0.0", "00", 0.0)):
        refused = served("serve", "--device", "cpu")
    assert refused.code == SERVER
    assert "it was started before the upgrade" in refused.err
