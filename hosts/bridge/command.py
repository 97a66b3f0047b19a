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
"""Names the program, for those who keep it elsewhere than the installation said."""
RECORD = "impasto_command.json"
"""Written by `impasto … install` beside the folder `impasto`: {"command": ["python", "-m", …]}."""

_OF_THE_HOST = ("PYTHON", "__PYVENV_LAUNCHER__")
"""How the names of what a host sets for its own Python begin: its folders, and the encoding of its console."""
_LIBRARIES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES")


@dataclass(frozen=True)
class Command:
    """The words that stand before the arguments of `impasto`."""

    words: tuple[str, ...]


def find_command(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Command:
    """The command: `$IMPASTO_COMMAND`, else the one of the installation in `folder`, else the one on the path.

    `folder` holds the package `impasto` that this file is in, unless it is named. Raises BridgeError where none is.
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
    recorded = recorded_command((installed_folder() if folder is None else folder) / RECORD)
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
    """Where this package was put: the folder that `impasto` is in, and the notes of the installation."""
    return Path(__file__).resolve().parents[3]


def recorded_command(record: Path) -> Command | None:
    """The command that an installation noted, None where there is no note. BridgeError where it leads nowhere."""
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

    `host_folder` is where the host's program is, unless it is named. Text comes back as UTF-8 whatever the host's
    console speaks.
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
    # The program folder of a system Python is /usr/bin: nothing of the user's is to be thrown out for that.
    if not path or not folder or folder in ("/usr/bin", "/usr/local/bin", "/bin"):
        return not path
    return os.path.join(os.path.realpath(path), "").startswith(os.path.join(folder, ""))
