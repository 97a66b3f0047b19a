"""`impasto stop` where the server does not listen: another way to end it is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from impasto.core.errors import ImpastoError, IncompatibleServer, NotPermitted, ServerBusy, ServerUnreachable
from impasto.hosts.terminal.exit_codes import SERVER
from impasto.hosts.terminal.server import connect
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder
from tests.hosts.terminal.conftest import Impasto


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
