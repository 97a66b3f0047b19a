"""Where the command is, and what of the host's environment it must not see."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from impasto.hosts.bridge.command import COMMAND_FILE, Command, clean_environment, find_command
from impasto.hosts.bridge.errors import BridgeError


def program(folder: Path, name: str = "impasto") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name == "nt", reason="programs of POSIX")
def test_the_variable_goes_before_the_record_and_the_record_before_the_path(tmp_path: Path) -> None:
    on_path, named = program(tmp_path / "bin"), program(tmp_path / "else")
    environment = {"PATH": str(on_path.parent)}
    assert find_command(environment, tmp_path) == Command((str(on_path),))
    (tmp_path / COMMAND_FILE).write_text(json.dumps({"command": [sys.executable, "-m", "impasto"]}))
    assert find_command(environment, tmp_path) == Command((sys.executable, "-m", "impasto"))
    assert find_command({**environment, "IMPASTO_COMMAND": str(named)}, tmp_path) == Command((str(named),))


def test_a_command_that_is_nowhere_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="expected the command `impasto`, found none; install it"):
        find_command({"PATH": str(tmp_path)}, tmp_path)


def test_a_variable_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="IMPASTO_COMMAND names, found none"):
        find_command({"PATH": "", "IMPASTO_COMMAND": str(tmp_path / "gone")}, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"command": 3}', '{"command": []}', '{"command": ["/gone/python"]}'])
def test_a_record_that_leads_nowhere_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / COMMAND_FILE).write_text(text)
    with pytest.raises(BridgeError, match=COMMAND_FILE):
        find_command({"PATH": ""}, tmp_path)


def test_the_python_and_the_libraries_of_the_host_are_not_handed_on() -> None:
    before = {
        "PYTHONHOME": "/host", "PYTHONPATH": "/host/lib", "PYTHONIOENCODING": "cp1252",
        "HOME": "/home/anna", "OCIO": "/studio/config.ocio",
        "LD_LIBRARY_PATH": os.pathsep.join(["/host/lib", "/usr/lib/cuda", ""]),
        "LD_PRELOAD": "/host/lib/x.so",
    }  # fmt: skip
    after = clean_environment(before, "/host")
    assert after == {
        "HOME": "/home/anna", "OCIO": "/studio/config.ocio", "LD_LIBRARY_PATH": "/usr/lib/cuda", "PYTHONUTF8": "1",
    }  # fmt: skip
