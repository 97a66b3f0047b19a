# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module adds to Blender, and removes completely: 4.5 hangs at its exit over anything that is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import bpy


@dataclass(frozen=True)
class ModuleRegistration:
    """Classes, settings of a scene, handlers and timers of one module."""

    classes: tuple[type, ...] = ()
    scene_settings: Mapping[str, type] = field(default_factory=dict)
    """Name of a property of every scene -> its group, which is one of the classes."""
    handlers: tuple[tuple[str, Callable[..., object]], ...] = ()
    """Name of a list in `bpy.app.handlers`, and what Blender calls."""
    timers: Mapping[Callable[[], float | None], float] = field(default_factory=dict)
    """Timer -> seconds until its first call."""
    timers_on_demand: tuple[Callable[[], float | None], ...] = ()
    """Timers that the module starts itself."""

    def register(self) -> None:
        """Add everything."""
        for each in self.classes:
            bpy.utils.register_class(each)
        for name, group in self.scene_settings.items():
            setattr(bpy.types.Scene, name, bpy.props.PointerProperty(type=group, name="Impasto"))
        for name, handler in self.handlers:
            getattr(bpy.app.handlers, name).append(handler)
        for timer, first_s in self.timers.items():
            bpy.app.timers.register(timer, first_interval=first_s, persistent=True)

    def unregister(self) -> None:
        """Take everything out, also after half a registration. What a .blend file holds of the settings stays in it."""
        for timer in (*self.timers, *self.timers_on_demand):
            if bpy.app.timers.is_registered(timer):
                bpy.app.timers.unregister(timer)
        for name, handler in self.handlers:
            handlers = getattr(bpy.app.handlers, name)
            if handler in handlers:
                handlers.remove(handler)
        for name in self.scene_settings:
            if hasattr(bpy.types.Scene, name):
                delattr(bpy.types.Scene, name)
        for each in reversed(self.classes):
            if getattr(each, "is_registered", True):
                bpy.utils.unregister_class(each)
