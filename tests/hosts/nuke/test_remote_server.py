"""A server on another machine: reached with keys, and told files by the folder that both share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from impasto.hosts.terminal.app import run
from tests.hosts.nuke.conftest import FIRST, OpenNuke, Serving, colour_of


def test_a_node_is_painted_on_another_machine(
    open_nuke: OpenNuke, server: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_KEYS", str(server.keys))
    # Where no server of this machine is.
    monkeypatch.setenv("IMPASTO_RUNTIME", str(tmp_path / "run"))
    run(["auth", "trust", server.address, server.public_key])
    session = open_nuke()
    node = session.node("identity")
    node["server"].setValue(server.address)
    node["scratch"].setValue(str(tmp_path / "elsewhere"))
    session.expects_errors = True
    session.paint(node)
    assert "expected the folder that this machine shares" in session.nuke.said.pop()
    node["shared"].setValue(f"work={server.shared.as_posix()}")
    session.paint(node)
    assert f"expected a file below '{server.shared.as_posix()}'" in session.nuke.said.pop()
    node["scratch"].setValue(str(server.shared / "nuke"))
    session.paint(node)
    assert session.nuke.said == []
    painted = session.painted(node)
    assert len(painted) == 3
    assert painted[0].is_relative_to(server.shared)
    assert np.array_equal(colour_of(painted[0]), colour_of(session.folder / "in" / f"plate.{FIRST}.exr"))
    assert not (tmp_path / "run").exists()
