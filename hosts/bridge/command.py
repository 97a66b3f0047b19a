"""Where the `impasto` command is, and the environment that it needs when a host starts it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from impasto.hosts.bridge.errors import BridgeError

VARIABLE = "IMPASTO_COMMAND"
"""Names the program, where it is not at the path that the installation noted."""
COMMAND_FILE = "impasto_command.json"
"""Written by `impasto … install` beside the folder `impasto`: {"command": ["python", "-m", …]}."""

_OF_THE_HOST = ("PYTHON", "__PYVENV_LAUNCHER__")
"""Prefixes of the variables that a host sets for its own Python: its folders, and the encoding of its console."""
_LIBRARIES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES")


@dataclass(frozen=True)
class Command:
    """The program and its first words; the arguments of `impasto` follow."""

    words: tuple[str, ...]


def find_command(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Command:
    """The command: `$IMPASTO_COMMAND`, else the one of the installation in `folder`, else the one on the path.

    `folder` is by default the one that holds this package `impasto`. Raises BridgeError where there is no command.
    """
    environment = os.environ if environment is None else environment
    named = environment.get(VARIABLE)
    if named:
        found = shutil.which(named, path=environment.get("PATH"))
        if found is None:
            raise BridgeError(
                f"expected a program at '{named}', which {VARIABLE} names, found none; correct the variable or unset it"
            )
        return Command((found,))
    recorded = recorded_command((installed_folder() if folder is None else folder) / COMMAND_FILE)
    if recorded is not None:
        return recorded
    found = shutil.which("impasto", path=environment.get("PATH"))
    if found is None:
        raise BridgeError(
            "expected the command `impasto`, found none; install it (pip install 'impasto[server]'), then run "
            f"`impasto nuke install` or `impasto resolve install` again, or set {VARIABLE} to its path"
        )
    return Command((found,))


def installed_folder() -> Path:
    """The folder that holds this package `impasto` and the files of the installation."""
    return Path(__file__).resolve().parents[3]


def recorded_command(record: Path) -> Command | None:
    """The command that an installation noted, None without a note. BridgeError where the program is gone."""
    try:
        text = record.read_text(encoding="utf-8")
    except OSError:
        return None
    try:
        words = json.loads(text)["command"]
        command = Command(tuple(str(word) for word in words))
    except (ValueError, KeyError, TypeError) as error:
        raise BridgeError(f"expected the command's words in '{record}', got something else; install again") from error
    if not command.words or shutil.which(command.words[0]) is None:
        raise BridgeError(
            "expected the program that '{}' names, found none at '{}'; run the installation again from where impasto "
            "is now".format(record, command.words[0] if command.words else "")
        )
    return command


def clean_environment(environment: Mapping[str, str] | None = None, host_folder: str | None = None) -> dict[str, str]:
    """The environment without what the host set for itself: its Python, and libraries below its own folder.

    `host_folder` is by default the folder of the host's program. The command prints UTF-8, whatever the host's console
    uses.
    """
    environment = os.environ if environment is None else environment
    host_folder = os.path.dirname(os.path.realpath(sys.executable)) if host_folder is None else host_folder
    kept = {name: value for name, value in environment.items() if not name.startswith(_OF_THE_HOST)}
    for name in _LIBRARIES:
        if name in kept:
            kept[name] = os.pathsep.join(each for each in kept[name].split(os.pathsep) if not _below(each, host_folder))
            if not kept[name]:
                del kept[name]
    kept["PYTHONUTF8"] = "1"
    return kept


def _below(path: str, folder: str) -> bool:
    # The folder of a system Python is /usr/bin. The user's own entries there must stay.
    if not path or not folder or folder in ("/usr/bin", "/usr/local/bin", "/bin"):
        return not path
    return os.path.join(os.path.realpath(path), "").startswith(os.path.join(folder, ""))
