"""Install the extension into a user folder, or remove it, without Blender; or let Blender do it where it is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from impasto.core.errors import OutputError, UsageError
from impasto.hosts.terminal.install.blender_extension.user_folders import UserFolder

COMMAND_FILE: Final = "command.json"
"""In the extension's own folder: {"command": ["/path/to/impasto"]}. `hosts/blender/preferences.py` reads it."""
PACKAGE: Final = "impasto"
REPOSITORY: Final = "user_default"
LIMIT_S: Final = 120.0


def install(folder: UserFolder, extension: Path) -> bool:
    """Unpack the extension in the place of an older one; returns whether there was one. Raises OutputError."""
    target = folder.extension
    fresh, old = target.with_name(".impasto.new"), target.with_name(".impasto.old")
    there = target.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for each in (fresh, old):
            shutil.rmtree(each, ignore_errors=True)
        with zipfile.ZipFile(extension) as archive:
            archive.extractall(fresh)
        if there:
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)
        raise OutputError(
            f"expected to install into '{target}', got: {error.strerror or error}; close Blender and try again"
        ) from error
    return there


def uninstall(folder: UserFolder) -> bool:
    """Remove the extension and its data; returns whether it was installed. Raises OutputError."""
    there = folder.extension.exists()
    try:
        for each in (folder.extension, folder.facts):
            if each.exists():
                shutil.rmtree(each)
    except OSError as error:
        raise OutputError(
            f"expected to remove '{folder.extension}', got: {error.strerror or error}; close Blender and try again"
        ) from error
    return there


def record_command(folder: UserFolder, command: tuple[str, ...]) -> None:
    """Record for the extension what starts the render server. Raises OutputError."""
    path = folder.facts / COMMAND_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"command": command}) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"expected to write '{path}', got: {error.strerror}; make that folder writable") from error


def own_command(arguments: list[str] | None = None) -> tuple[str, ...]:
    """What starts this `impasto` again, from anywhere."""
    called = Path((arguments or sys.argv)[0])
    for each in (called, Path(sys.executable).parent / "impasto", Path(sys.executable).parent / "impasto.exe"):
        if each.stem == "impasto" and each.is_file() and os.access(each, os.X_OK):
            return (str(each.absolute()),)
    return (sys.executable, "-m", "impasto.hosts.terminal")


def install_by(program: Path, extension: Path) -> None:
    """Let Blender install and enable the extension. Raises UsageError with Blender's own message."""
    _run(program, "install-file", "--repo", REPOSITORY, "--enable", str(extension))


def uninstall_by(program: Path) -> None:
    """Let Blender remove the extension. Raises UsageError with Blender's own message."""
    _run(program, "remove", f"{REPOSITORY}.{PACKAGE}")


def _run(program: Path, *arguments: str) -> None:
    command = [str(program), "--background", "--command", "extension", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"expected Blender at '{program}' to answer, got: {error}; name its user folder instead"
        ) from error
    if done.returncode != 0:
        said = next((line for line in reversed((done.stdout + done.stderr).splitlines()) if line.strip()), "nothing")
        raise UsageError(
            f"expected '{program}' to do `extension {arguments[0]}`, it said: {said.strip()}; Blender 4.2 or newer is"
            f" needed"
        )
