# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's windows: their context for operators, drawing them again, and sentences in the sidebar."""

from __future__ import annotations

import contextlib
import textwrap
from typing import Any, Final, cast

import bpy

LETTER_PIXELS: Final = 7.0
SHORTEST: Final = 16


def in_a_window() -> contextlib.AbstractContextManager[object]:
    """The context of a window, which operators expect; Blender calls a timer without one."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not len(windows):
        return contextlib.nullcontext()
    return cast("contextlib.AbstractContextManager[object]", bpy.context.temp_override(window=windows[0]))


def redraw_sequencers() -> None:
    """Draw every sequencer again, with its preview and our panel."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


def draw_text(layout: Any, context: bpy.types.Context, text: str, icon: str = "NONE", spared: int = 0) -> None:
    """Draw a sentence on several lines, because a label has one; `spared` letters of the width stay free."""
    region = context.region
    scale = context.preferences.system.ui_scale
    letters = 40 if region is None else int(region.width / (LETTER_PIXELS * scale)) - 6 - spared
    for place, line in enumerate(textwrap.wrap(text, max(SHORTEST, letters))):
        row = layout.row()
        row.scale_y = 0.8
        row.label(text=line, icon=icon if place == 0 else ("NONE" if icon == "NONE" else "BLANK1"))
