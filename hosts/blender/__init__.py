# SPDX-License-Identifier: GPL-3.0-or-later
"""Impasto inside Blender: a painter's style on the strips of the sequencer.

Blender loads this folder as `bl_ext.<repository>.impasto`; tests, and code that needs no `bpy`, import it as
`impasto.hosts.blender`. So the files in here import each other relatively, and this one imports `bpy` only when
Blender calls `register`.
"""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import Final

# Only Blender before 4.2 reads this; an extension has its manifest.
bl_info = {"name": "Impasto", "blender": (3, 4, 0), "category": "Sequencer"}

MODULES: Final = (
    "main_thread",
    "preferences",
    "connection",
    "ui.thumbnails",
    "look.parameters",
    "bake.runner",
    "bake.operators",
    "live.playback",
    "live.render",
    "live.operators",
    "wipe.operators",
    "train.operators",
    "ui.panel",
)
"""The modules that have something to register, in this order; they are unregistered in the other."""

_registered: list[ModuleType] = []


def register() -> None:
    """Add everything to Blender. Without its wheels the panel is there all the same, and says what is missing."""
    from . import missing_wheels

    if missing_wheels.problem():
        _add("missing_wheels")
        return
    try:
        for name in MODULES:
            _add(name)
    except BaseException:
        unregister()
        raise


def unregister() -> None:
    """Take everything out again: 4.5 hangs at its exit over a class, handler or timer that is left."""
    while _registered:
        module = _registered.pop()
        with contextlib.suppress(Exception):  # one module that fails must not keep the others in
            module.unregister()


def _add(name: str) -> None:
    module = importlib.import_module(f".{name}", __package__)
    _registered.append(module)  # before, so that half a registration is undone too
    module.register()
