# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence in the sidebar, on as many lines as its width asks for: Blender's labels have one line."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import bpy

LETTER_PIXELS: Final = 7.0
SHORTEST: Final = 16


def draw_text(layout: Any, context: bpy.types.Context, text: str, icon: str = "NONE", spared: int = 0) -> None:
    """Draw a sentence; `spared` letters of the width are somebody else's."""
    region = context.region
    scale = context.preferences.system.ui_scale
    letters = 40 if region is None else int(region.width / (LETTER_PIXELS * scale)) - 6 - spared
    for place, line in enumerate(textwrap.wrap(text, max(SHORTEST, letters))):
        row = layout.row()
        row.scale_y = 0.8
        row.label(text=line, icon=icon if place == 0 else ("NONE" if icon == "NONE" else "BLANK1"))
