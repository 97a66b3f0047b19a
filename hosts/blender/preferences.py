# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set once for this Blender: the `impasto` command, the server's address, the scratch folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import bpy

from .failure import guarded_call
from .registration import ModuleRegistration

COMMAND_FILE: Final = "command.json"
"""In the extension's user folder: {"command": ["/path/to/impasto"]}, written by `impasto blender install`."""

on_server_changed: list[Callable[[], object]] = []
"""What is called when the command or the server's address is changed."""


@guarded_call()
def _server_changed(preferences: Any, context: bpy.types.Context) -> None:
    for call in on_server_changed:
        call()


class IMPASTO_AP_preferences(bpy.types.AddonPreferences):  # noqa: N801  # Blender wants names of this form
    """The extension's preferences."""

    bl_idname = __package__

    command: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Command",
        description="The `impasto` command that starts the render server; empty for the one that installed this"
        " extension, or the one on the PATH",
        subtype="FILE_PATH",
        update=_server_changed,
    )
    address: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Server",
        description="tcp://HOST:PORT of a render server on another machine; empty for your own on this one",
        update=_server_changed,
    )
    scratch: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Frames",
        description="Where rendered and painted frames are kept; empty for the folder 'impasto' beside the .blend file",
        subtype="DIR_PATH",
    )

    @guarded_call()
    def draw(self, context: bpy.types.Context) -> None:
        for name in ("command", "address", "scratch"):
            self.layout.prop(self, name)
            if name == "command" and not self.command:
                known = " ".join(command()) or "`impasto`, as the PATH has it"
                self.layout.label(text=f"The server is started by {known}", icon="INFO")


def of_addon() -> Any:
    """The preferences; None where the extension is imported without being enabled, as in a script."""
    addon = bpy.context.preferences.addons.get(__package__)
    return None if addon is None else addon.preferences


def command() -> tuple[str, ...]:
    """The `impasto` command: of the preferences, else $IMPASTO_COMMAND, else as it was installed; () if unknown."""
    preferences = of_addon()
    if preferences is not None and preferences.command:
        return (bpy.path.abspath(preferences.command),)
    if named := os.environ.get("IMPASTO_COMMAND"):
        return (named,)
    try:
        folder = bpy.utils.extension_path_user(__package__)
    except (AttributeError, ValueError):  # before 4.2, or no extension but a plain package
        return ()
    return recorded_command(Path(folder) / COMMAND_FILE)


def recorded_command(path: Path) -> tuple[str, ...]:
    """The command that `impasto blender install` recorded; () where it did not."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, LookupError, TypeError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(word, str) for word in found) else ()


_registration: Final = ModuleRegistration(classes=(IMPASTO_AP_preferences,))
register, unregister = _registration.register, _registration.unregister
