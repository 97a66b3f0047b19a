# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of a strip: the panel's, or one that is pinned to it, such as the style that is trained on it; its matte."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import bpy

from impasto.core.errors import UnknownName, UnreadableMedia, UsageError

from ..connection import current
from ..fingerprints import file_stamp
from ..strips.media import sequence_of
from ..versions import all_strips_of
from . import parameters
from .look import Look

PINNED: Final = "impasto_look"
"""On the strip, as JSON: {"style": …, "params": {…}}; without it the strip follows the panel."""


def look_of(scene: Any, strip: Any) -> Look:
    """The look of a strip as it is set now: its pinned one, else the panel's; with the panel's matte.

    Raises UsageError where no style is chosen, UnreadableMedia where the matte's files are missing.
    """
    return replace(pinned_look(strip) or panel_look(scene), matte=matte_files(scene.impasto))


def with_curves(look: Look, scene: Any, strip: Any, frames: Mapping[int, float]) -> Look:
    """The look with the values of the panel's curves, and the style as the server has it now.

    `frames` are the pictures with their frames of the timeline.
    """
    if follows_curves(scene, strip):
        values = {number: parameters.values_at(scene.impasto, frame) for number, frame in frames.items()}
        look = look.animated_by(values)
    return replace(look, style_state=style_state(look.style))


def panel_look(scene: Any) -> Look:
    """The look that the panel shows now. Raises UsageError where no style is chosen."""
    settings = scene.impasto
    if not settings.style_name:
        raise UsageError("expected a style, none is chosen; start the server and choose one in the panel")
    return Look(settings.style_name, parameters.values_at(settings))


def pinned_look(strip: Any) -> Look | None:
    """The strip's own look; None where it follows the panel, or its property is no look."""
    try:
        found = json.loads(strip.get(PINNED, ""))
        return Look(str(found["style"]), {str(name): float(value) for name, value in found["params"].items()})
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def pin(strip: Any, look: Look) -> None:
    """Give a strip a look of its own."""
    strip[PINNED] = json.dumps({"style": look.style, "params": dict(look.params)})


def unpin(strip: Any) -> None:
    """Let a strip follow the panel again."""
    if PINNED in strip:
        del strip[PINNED]


def follows_curves(scene: Any, strip: Any) -> bool:
    """Whether the strip's parameters change from frame to frame."""
    return pinned_look(strip) is None and parameters.is_animated(scene.impasto)


def require_style(scene: Any, strip: Any) -> None:
    """Raise UsageError or UnknownName where the strip's style does not exist."""
    style = (pinned_look(strip) or panel_look(scene)).style
    if os.path.isabs(style):
        if not os.path.isfile(style):
            raise UsageError(
                f"expected the style that '{strip.name}' keeps at '{style}', found no such file; train it again, or"
                " have the strip follow the panel"
            )
        return
    known = {each.name for each in current().styles()}
    if known and style not in known:
        raise UnknownName("style", style, known)


def style_state(style: str) -> str:
    """Letters that change with the style; '' where the server has not said yet."""
    if os.path.isabs(style):
        return file_stamp(style)
    return next((each.sha256 for each in current().styles() if each.name == style), "")


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
