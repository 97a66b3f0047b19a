# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyframes of a strip: its marked frames, their folder, and which of them are painted.

The strip keeps the marks, in the media's own frame numbers, so that they survive saving, moving and trimming.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import bpy

from impasto.core.errors import UsageError

from ..frame_files import slug_of
from ..live.strips import plate_of
from ..scratch import scratch_root
from .painting_folder import Export, PaintedKey, painted_keys

MARKS: Final = "impasto_keys"
"""On the strip, as JSON: the frame numbers."""
NAME: Final = "impasto_keys_name"
"""On the strip: its name when its first keyframe was marked. The halves of a cut share their keyframes."""


def slug_of_keys(strip: Any) -> str:
    """The name of a strip's keyframes and style: the strip's own when its first keyframe was marked."""
    return slug_of(strip.get(NAME, strip.name))


def folder_of(strip: Any) -> Path:
    """The folder in which a strip's frames are painted. Raises OutputError."""
    return scratch_root()[0] / f"{slug_of_keys(strip)}-keyframes"


def style_of(strip: Any) -> Path:
    """The style file that a strip's training writes."""
    return folder_of(strip) / f"{slug_of_keys(strip)}.safetensors"


def marks_of(strip: Any) -> tuple[int, ...]:
    """The marked frames in the media's numbers, ascending."""
    try:
        found = json.loads(strip.get(MARKS, "[]"))
    except ValueError:
        return ()
    return tuple(sorted({int(number) for number in found})) if isinstance(found, list) else ()


def toggle(scene: Any, strip: Any) -> bool:
    """Mark the frame under the playhead, or remove its mark; returns whether it is marked now.

    Raises UsageError where the strip does not show there, UnsupportedMedia for a strip that the server cannot read.
    """
    plate = plate_of(scene, strip)
    number = plate.number_at(scene.frame_current)
    if number is None:
        raise UsageError(
            f"expected the playhead over '{strip.name}', it is on frame {scene.frame_current}; the strip shows from "
            f"{plate.shown_from} to {plate.shown_to}"
        )
    marks = set(marks_of(strip)) ^ {number}
    strip[MARKS] = json.dumps(sorted(marks))
    if NAME not in strip:
        strip[NAME] = strip.name
    return number in marks


def export_of(scene: Any, strip: Any) -> Export:
    """The export of the marked frames. Raises UsageError where none is marked, and what `plate_of` raises."""
    numbers = marks_of(strip)
    if not numbers:
        raise UsageError(f"expected marked frames, '{strip.name}' has none; put the playhead on one and mark it")
    plate = plate_of(scene, strip)
    return Export(
        plate.input, numbers, folder_of(strip), slug_of_keys(strip), scene.impasto_training.ending, plate.space
    )


def keys_of(scene: Any, strip: Any) -> tuple[PaintedKey, ...]:
    """The pictures of the strip's folder that are painted, each with what is wrong with it."""
    element = strip.elements[0] if len(strip.elements) else None
    size = (element.orig_width, element.orig_height) if element is not None else (0, 0)
    return painted_keys(folder_of(strip), size, size_in)


def size_in(path: Path) -> tuple[int, int]:
    """Width and height of a picture, (0, 0) where Blender cannot read it."""
    image = bpy.data.images.load(str(path), check_existing=False)
    try:
        return image.size[0], image.size[1]
    finally:
        bpy.data.images.remove(image)
