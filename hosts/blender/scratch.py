# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder in which rendered and painted pictures are kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import bpy

from impasto.core.errors import OutputError

from . import preferences

BESIDE: Final = "impasto"
UNSAVED: Final = "impasto-unsaved"


def scratch_root() -> tuple[Path, str]:
    """A folder that can be written to, and a sentence where the user should know about it.

    That of the preferences, else 'impasto' beside the .blend file, else a temporary one. Raises OutputError.
    """
    own = preferences.of_addon()
    if own is not None and own.scratch:
        return _made(Path(bpy.path.abspath(own.scratch))), ""
    if bpy.data.filepath:
        return _made(Path(bpy.data.filepath).absolute().with_name(BESIDE)), ""
    folder = _made(Path(tempfile.gettempdir()) / f"{UNSAVED}-{_user()}")
    return folder, (
        f"the .blend file is not saved, so the painted frames are in '{folder}', which the system may empty;"
        " save the file and stylize again to have them beside it"
    )


def _made(folder: Path) -> Path:
    """Make the folder, and prove that a file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"expected to write into '{folder}', got: {error.strerror}; name another folder for frames in the"
            " extension's preferences"
        ) from error
    return folder


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
