"""A function run inside the real Blender: in a process of its own, with a time limit and empty user folders.

The function stands in a file below `inside/`, which Blender's Python loads too: such a file imports the standard
library, numpy, and `impasto` outside of functions, and nothing else. It takes and returns what JSON can hold.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
VERSIONS = tuple(sorted(path.stem for path in (HERE / "environments").glob("*.txt")))
TIMEOUT_S = 60.0


class BlenderFailed(AssertionError):
    """What was run inside Blender raised, crashed, or took too long; the message holds all that it said."""


def environments() -> Path:
    """The folder with an environment for each version, and the packages that Blender gets as wheels in `client`."""
    return Path(os.environ.get("IMPASTO_BLENDER", ROOT / "build" / "blender"))


def python_of(version: str) -> Path:
    """The Python in which `import bpy` is this Blender. Skips where it is not there, saying why."""
    python = environments() / version / "bin" / "python"
    if not python.exists():
        if sys.version_info[:2] != (3, 11):
            pytest.skip(f"Blender {version} as a module needs Python 3.11, this is {sys.version.split()[0]}")
        pytest.skip(f"Blender {version} is not installed in '{environments()}'; `make test` installs it")
    return python


def in_blender(
    version: str,
    function: Callable[..., Any] | Path,
    *arguments: Any,
    timeout_s: float = TIMEOUT_S,
    extension: bool = True,
    leave: bool = False,
    environment: Mapping[str, str] | None = None,
    user: Path | None = None,
) -> Any:
    """Run a function, or `main` of a script, in Blender of this version and return what it returned.

    With `extension` it is enabled before and disabled after; without, Blender's Python does not find impasto at all.
    With `leave` the interpreter is left to end by itself, and must do so within the limit; else it ends at once.
    `environment` is added to this process's, `user` the folder of Blender's user files where it is to outlive the
    call. Raises BlenderFailed.
    """
    python = python_of(version)
    file, name = (function, "main") if isinstance(function, Path) else (_file_of(function), function.__name__)
    with tempfile.TemporaryDirectory(prefix="impasto-bpy-") as folder:
        scratch = Path(folder)
        for room in ("core", "hosts", "server"):
            (scratch / "python" / "impasto").mkdir(parents=True, exist_ok=True)
            (scratch / "python" / "impasto" / room).symlink_to(ROOT / room)
        order = {
            "file": str(file), "name": name, "arguments": arguments, "extension": extension, "leave": leave,
            "result": str(scratch / "result.json"), "root": str(ROOT), "timeout_s": timeout_s,
        }  # fmt: skip
        (scratch / "order.json").write_text(json.dumps(order, default=str))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BLENDER_", "PYTHON"))}
        paths = [scratch / "python", environments() / "client"] if extension else []
        done = subprocess.Popen(
            [python, HERE / "runner.py", scratch / "order.json"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
            start_new_session=True,
            env={
                **clean,
                "BLENDER_USER_RESOURCES": str(user or scratch / "user"),
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                **(environment or {}),
            },
        )  # fmt: skip
        try:
            said, _ = done.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            done.kill()
            said, _ = done.communicate()
            raise BlenderFailed(f"Blender {version} did not end within {timeout_s:g} s; it said:\n{said}") from None
        result = scratch / "result.json"
        outcome = json.loads(result.read_text()) if result.exists() else {"error": "no result"}
        if done.returncode != 0 or "error" in outcome:
            raise BlenderFailed(
                f"Blender {version} ended with code {done.returncode}: {outcome.get('error', '')}\nit said:\n{said}"
            )
        return outcome["value"]


def _file_of(function: Callable[..., Any]) -> Path:
    file = Path(function.__code__.co_filename).resolve()
    assert file.parent == HERE / "inside", f"expected a function of a file in {HERE / 'inside'}, got one of {file}"
    return file


def impasto_command(folder: Path) -> Path:
    """The `impasto` of this environment as one executable file, to be named to Blender."""
    beside = shutil.which("impasto", path=str(Path(sys.executable).parent))
    if beside is not None:
        return Path(beside)
    script = folder / "impasto"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m impasto.hosts.terminal "$@"\n')
    script.chmod(0o755)
    return script
