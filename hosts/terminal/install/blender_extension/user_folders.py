"""The user folders of the Blenders on this machine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OLDEST: Final = (4, 2)
"""The first Blender with extensions; 4.5 and 5.0 are tested."""
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class UserFolder:
    """The user's own folder of one Blender."""

    path: Path
    title: str
    """'Blender 4.5'"""

    @property
    def extension(self) -> Path:
        """The folder of the extension, in Blender's repository for files from disk."""
        return self.path / "extensions" / "user_default" / "impasto"

    @property
    def facts(self) -> Path:
        """The extension's own data, which updates keep: `bpy.utils.extension_path_user`."""
        return self.path / "extensions" / ".user" / "user_default" / "impasto"


def found_folders(environ: Mapping[str, str] = os.environ) -> list[UserFolder]:
    """The folders of every Blender with extensions that this user has started once, newest first."""
    if named := environ.get("BLENDER_USER_RESOURCES"):
        return [UserFolder(Path(named), "the Blender of BLENDER_USER_RESOURCES")]
    base = configuration(environ)
    there = [path for path in base.iterdir() if path.is_dir()] if base.is_dir() else []
    served = [(version, path) for path in there if (version := _version(path)) is not None and version >= OLDEST]
    return [UserFolder(path, f"Blender {path.name}") for _, path in sorted(served, reverse=True)]


def configuration(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """The folder with one folder for each version of Blender."""
    home = Path(environ.get("HOME") or Path.home())
    if system == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "Blender Foundation" / "Blender"
    if system == "darwin":
        return home / "Library" / "Application Support" / "Blender"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "blender"


def folder_at(path: Path) -> UserFolder:
    """The user folder at a path."""
    version = _version(path)
    return UserFolder(path, f"Blender {path.name}" if version is not None else f"the Blender of '{path}'")


def program_at(path: Path) -> Path | None:
    """The Blender program that a path is, or that is in a folder; None where there is none."""
    inside = ("blender", "blender.exe", "Contents/MacOS/Blender", "Blender.app/Contents/MacOS/Blender")
    places = [path] if path.is_file() else [path / each for each in inside]
    return next((each for each in places if each.is_file() and os.access(each, os.X_OK)), None)


def _version(path: Path) -> tuple[int, int] | None:
    match = _VERSION.fullmatch(path.name)
    return (int(match[1]), int(match[2])) if match else None
