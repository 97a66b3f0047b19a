"""`impasto serve`: what it says, and that it serves where nobody can read it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from impasto.hosts.terminal.server import serve
from impasto.server.front import server
from tests.hosts.terminal.conftest import Impasto


def test_a_ready_line_that_cannot_be_written_ends_no_server(
    tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = []

    def run_server(settings: object, on_ready: object) -> int:
        assert callable(on_ready)
        on_ready()
        served.append(settings)
        return 0

    def print_ready(settings: object, *, json: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("IMPASTO_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setattr(server, "serve", run_server)
    monkeypatch.setattr(serve, "print_ready", print_ready)
    assert impasto("serve").code == 0
    assert served
