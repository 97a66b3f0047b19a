# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is left of the panel where the extension's wheels are missing: one sentence."""

from __future__ import annotations

import textwrap

import bpy

from . import wheels

LINE_LETTERS = 44


class IMPASTO_PT_absence(bpy.types.Panel):  # noqa: N801  # Blender wants names of this form
    """Why there is nothing else."""

    bl_label = "Impasto"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Impasto"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the sentence."""
        for place, line in enumerate(textwrap.wrap(wheels.problem(), LINE_LETTERS)):
            self.layout.label(text=line, icon="ERROR" if place == 0 else "BLANK1")


def register() -> None:
    """Add the panel."""
    bpy.utils.register_class(IMPASTO_PT_absence)


def unregister() -> None:
    """Take it out."""
    bpy.utils.unregister_class(IMPASTO_PT_absence)
