"""`impasto stop`: one client's work, and a server that does not listen, for which another way to end it is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from impasto.core.errors import ImpastoError, IncompatibleServer, NotPermitted, ServerBusy, ServerUnreachable
from impasto.hosts.terminal.exit_codes import INTERRUPTED, SERVER, USAGE
from impasto.hosts.terminal.server import connect
from impasto.server.client import Client
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder
from tests.hosts.terminal.conftest import Impasto, started
from tests.plates import write_sequence
from tests.server.running_server import served as running_server
from tests.waiting import until


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime folder that this process holds."""
    monkeypatch.setenv("IMPASTO_RUNTIME", str(tmp_path / "runtime"))
    with hold_lock(prepare_folder(tmp_path / "runtime"), Owner(os.getpid(), "impasto 0.0.1", "00", 0.0)):
        yield


def refuse(monkeypatch: pytest.MonkeyPatch, error: ImpastoError) -> None:
    @contextmanager
    def connected(*asked: object, **more: object) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr(connect, "connected", connected)


@pytest.mark.parametrize(
    "error",
    [
        ServerBusy("expected at most 64 clients"),
        ServerUnreachable("it did not answer"),
        IncompatibleServer("expected protocol 1"),
    ],
)
def test_a_server_that_cannot_be_stopped_is_named_by_its_process(
    held: None, impasto: Impasto, monkeypatch: pytest.MonkeyPatch, error: ImpastoError
) -> None:
    refuse(monkeypatch, error)
    done = impasto("stop")
    assert done.code == SERVER
    assert done.err == f"impasto: {error}; or end it with: kill {os.getpid()}\n"


def test_a_server_on_another_machine_is_not_mistaken_for_a_process_here(
    held: None, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, ServerUnreachable("it did not answer"))
    assert "kill" not in impasto("stop", "--server", "tcp://render1:7780").err


def test_a_refusal_stays_a_refusal(held: None, impasto: Impasto, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, NotPermitted("expected a key with the role admin"))
    assert "kill" not in impasto("stop").err


def test_what_a_client_asked_for_is_cancelled_and_it_is_told_what_is_there(
    tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sequence(tmp_path, range(1, 60))
    with running_server(("delay-300ms",)) as server:
        monkeypatch.setenv("IMPASTO_RUNTIME", str(server.folder))
        painted = tmp_path / "out" / "o.####.exr"
        with (
            started("render", tmp_path / "plate.####.exr", painted, "--style", "delay-300ms") as render,
            Client.connect(server.folder, start=False) as client,
        ):
            until(lambda: list((tmp_path / "out").glob("o.*.exr")))
            (number,) = (each.number for each in client.status().clients if each.running)
            assert impasto("stop", "--client", number, "--now").code == USAGE
            assert impasto("stop", "--client", number).out == f"1 request of client {number} cancelled\n"
            said = render.communicate(timeout=60)
            assert render.returncode == INTERRUPTED
            assert f"it was cancelled; what was finished is in '{painted}'" in "".join(said)
            assert client.status().health == "ok"
