# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's windows: lent to operators that expect one, and drawn again."""

from __future__ import annotations

import contextlib
from typing import cast

import bpy


def in_a_window() -> contextlib.AbstractContextManager[object]:
    """The context of a window, which operators expect; a timer is called without one."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not len(windows):
        return contextlib.nullcontext()
    return cast("contextlib.AbstractContextManager[object]", bpy.context.temp_override(window=windows[0]))


def redraw_sequencers() -> None:
    """Have every sequencer drawn again, its preview and our panel with it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()
