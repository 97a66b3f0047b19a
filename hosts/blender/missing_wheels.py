# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the wheels of the extension are there and load, and the panel that is left where they do not."""

from __future__ import annotations

import importlib
import sys
import textwrap
from typing import Final

import bpy

from .registration import ModuleRegistration

NEEDED: Final = ("numpy", "msgpack", "zmq", "impasto.server.client")
LINE_LETTERS: Final = 44


def problem() -> str:
    """What is missing, and what to do, in one sentence; '' where nothing is."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # a broken binary raises whatever it likes
            python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
            cause = " ".join(str(error).split())
            return (
                f"expected '{name.partition('.')[0]}' for {python} among the extension's wheels, got: {cause}; build "
                f"the extension for this system with `impasto blender package`, install it again and restart Blender"
            )
    return ""


class IMPASTO_PT_absence(bpy.types.Panel):  # noqa: N801  # Blender wants names of this form
    """Why there is nothing else."""

    bl_label = "Impasto"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Impasto"

    def draw(self, context: bpy.types.Context) -> None:
        for place, line in enumerate(textwrap.wrap(problem(), LINE_LETTERS)):
            self.layout.label(text=line, icon="ERROR" if place == 0 else "BLANK1")


_registration: Final = ModuleRegistration(classes=(IMPASTO_PT_absence,))
register, unregister = _registration.register, _registration.unregister
