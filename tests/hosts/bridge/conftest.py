"""Commands that say what a test wants, in the place of `impasto`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.hosts.bridge.command import Command

Scripted = Callable[[str], Command]

PROLOGUE = """\
import json, os, signal, sys, time

def say(event, **fields):
    print(json.dumps({"impasto": 1, "event": event, **fields}), flush=True)

"""


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """A command from the lines of a Python program, which has `say(event, **fields)`."""

    def made(program: str) -> Command:
        path = tmp_path / "scripted.py"
        path.write_text(PROLOGUE + program, encoding="utf-8")
        return Command((sys.executable, str(path)))

    return made
