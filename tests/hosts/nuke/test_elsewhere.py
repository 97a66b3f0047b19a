"""A server on another machine: reached with keys, and told files by the folder that both share."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from impasto.hosts.terminal.app import run
from tests.hosts.nuke.conftest import FIRST, IMPASTO, LIMIT_S, OpenNuke, colour_of

KEY = re.compile(r"'([^']{40})'")


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def test_a_node_is_painted_on_another_machine(
    open_nuke: OpenNuke, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_KEYS", str(tmp_path / "mine"))
    run(["keys", "new"])
    mine = KEY.search(capsys.readouterr().out)
    assert mine is not None
    address, shared = f"tcp://127.0.0.1:{free_port()}", tmp_path / "shared"
    shared.mkdir()
    with TemporaryDirectory(prefix="impasto-") as folder, monkeypatch.context() as there:
        there.setenv("IMPASTO_KEYS", str(tmp_path / "theirs"))
        there.setenv("IMPASTO_RUNTIME", f"{folder}/run")
        run(["keys", "add", "anna", mine[1]])
        words = ["serve", "--device", "cpu", "--json", "--listen", address, "--root", f"work={shared}:rw"]
        server = subprocess.Popen([*IMPASTO, *words], env=dict(os.environ), stdout=subprocess.PIPE, text=True)
        there.setenv("IMPASTO_KEYS", str(tmp_path / "mine"))
        try:
            assert server.stdout is not None
            run(["keys", "trust", address, json.loads(server.stdout.readline())["public_key"]])
            session = open_nuke()
            node = session.node("identity")
            node["server"].setValue(address)
            node["scratch"].setValue(str(tmp_path / "elsewhere"))
            session.complaining = True
            session.paint(node)
            assert "expected the folder that this machine shares" in session.nuke.said.pop()
            node["shared"].setValue(f"work={shared.as_posix()}")
            session.paint(node)
            assert f"expected a file below '{shared.as_posix()}'" in session.nuke.said.pop()
            node["scratch"].setValue(str(shared / "nuke"))
            session.paint(node)
            assert session.nuke.said == []
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.communicate(timeout=LIMIT_S)
            finally:
                server.kill()
    painted = session.painted(node)
    assert len(painted) == 3
    assert painted[0].is_relative_to(shared)
    assert np.array_equal(colour_of(painted[0]), colour_of(session.folder / "in" / f"plate.{FIRST}.exr"))
