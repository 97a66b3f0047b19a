# SPDX-License-Identifier: GPL-3.0-or-later
"""The matte that the panel names, another strip or pictures: where it is bright the style shows."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

import bpy

from impasto.core.errors import UnreadableMedia

from ..strips.media import sequence_of
from ..versions import all_strips_of


def matte_strip(scene: Any, strip: Any) -> Any:
    """The strip whose brightness says where the style shows, None where there is none."""
    settings = scene.impasto
    if settings.matte != "STRIP" or settings.matte_strip in ("", strip.name):
        return None
    return all_strips_of(scene.sequence_editor).get(settings.matte_strip)


def matte_files(settings: Any) -> str:
    """The picture, or the pattern of its sequence; '' where the matte is not made of files.

    Raises UnreadableMedia where the picture is missing.
    """
    if settings.matte != "FILES":
        return ""
    path = Path(bpy.path.abspath(settings.matte_files))
    if not settings.matte_files or not path.is_file():
        raise UnreadableMedia(f"expected a matte at '{path}', found no such file; name a picture in the panel")
    found = sequence_of((str(path),))
    if found is None:
        return str(path)
    pattern = Path(found[0])
    hashes = "#" * pattern.name.count("#")
    before, after = pattern.name.split(hashes)
    shape = f"{glob.escape(before)}*{glob.escape(after)}"
    return found[0] if len(list(path.parent.glob(shape))) > 1 else str(path)
