# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the sequencer's sidebar: server, style and controls; the other sections are drawn by their own files."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

import bpy

from impasto.core.params import PARAMETERS

from .. import failure
from ..bake.job_state import JOBS
from ..connection import Connection, State, current
from ..failure import guarded, guarded_call
from ..look import parameters
from ..versions import all_strips_name, sequencer_scene
from .windows import redraw_sequencers
from .wrapped_text import draw_text

CATEGORY: Final = "Impasto"
LOOK_S: Final = 0.2
"""How often it is looked whether there is something new to draw."""
ICONS: Final[dict[State, str]] = {
    "absent": "UNLINKED",
    "starting": "SORTTIME",
    "ready": "LINKED",
    "lost": "ERROR",
}
TITLES: Final[dict[State, str]] = {
    "absent": "Server not connected",
    "starting": "Server is starting",
    "ready": "Server is ready",
    "lost": "Server is lost",
}
SECTIONS: Final = (
    ("bake", "Stylize", False),
    ("live", "Live", False),
    ("wipe", "Before and After", True),
    ("train", "Train from Here", True),
)
"""Folder whose operators.py has a `draw_section(layout, context)`, title, whether it is closed at first."""


class _Sidebar:
    """Where every panel of ours is."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY


class IMPASTO_OT_connect(bpy.types.Operator):  # noqa: N801  # Blender wants names of this form
    """Start the render server, or connect to it"""

    bl_idname = "impasto.connect"
    bl_label = "Start Server"
    bl_description = "Connect to the render server, and start it where none runs"

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin; the panel shows what comes of it."""
        failure.forget()
        current().connect(start=True)
        return {"FINISHED"}


class IMPASTO_OT_style_defaults(bpy.types.Operator):  # noqa: N801
    """Set all sliders as the style's maker meant them"""

    bl_idname = "impasto.style_defaults"
    bl_label = "Style Defaults"
    bl_description = "Set all sliders as the style's maker meant them"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set them."""
        parameters.take_defaults(sequencer_scene(context).impasto)
        return {"FINISHED"}


class IMPASTO_OT_dismiss(bpy.types.Operator):  # noqa: N801
    """Take the last error out of the panel"""

    bl_idname = "impasto.dismiss"
    bl_label = "Dismiss"
    bl_description = "The sentence is read"

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget it."""
        failure.forget()
        JOBS.clear()
        return {"FINISHED"}


class IMPASTO_PT_main(_Sidebar, bpy.types.Panel):  # noqa: N801
    """Server, last error, style and sliders."""

    bl_label = "Impasto"

    @guarded_call()
    def draw(self, context: bpy.types.Context) -> None:
        """Draw from top to bottom."""
        connection, settings = current(), sequencer_scene(context).impasto
        draw_server(self.layout, context, connection)
        if failure.last_error():
            row = self.layout.box().row()
            draw_text(row.column(align=True), context, failure.last_error(), icon="ERROR", spared=5)
            row.operator("impasto.dismiss", text="", icon="X", emboss=False)
        draw_style(self.layout, context, connection, settings)
        draw_sliders(self.layout, settings)


class IMPASTO_PT_matte(_Sidebar, bpy.types.Panel):  # noqa: N801
    """Where the style shows, and in which frames."""

    bl_label = "Matte and Range"
    bl_parent_id = "IMPASTO_PT_main"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @guarded_call()
    def draw(self, context: bpy.types.Context) -> None:
        """Draw the two choices and what belongs to each."""
        scene, layout = sequencer_scene(context), self.layout
        settings, editor = scene.impasto, scene.sequence_editor
        layout.use_property_split, layout.use_property_decorate = True, False
        layout.prop(settings, "matte")
        if settings.matte == "STRIP" and editor is not None:
            layout.prop_search(settings, "matte_strip", editor, all_strips_name(editor), icon="SEQUENCE")
        elif settings.matte == "FILES":
            layout.prop(settings, "matte_files")
        layout.prop(settings, "range")
        if settings.range == "CUSTOM":
            column = layout.column(align=True)
            column.prop(settings, "first")
            column.prop(settings, "last")


def draw_server(layout: Any, context: bpy.types.Context, connection: Connection) -> None:
    """How it is with the server, and the button that starts it."""
    state = connection.state
    row = layout.row(align=True)
    row.label(text=TITLES[state], icon=ICONS[state])
    if state in ("absent", "lost"):
        row.operator("impasto.connect", text="Start" if state == "absent" else "Start Again", icon="PLAY")
    elif state == "ready":
        right = row.row()
        right.alignment, right.active = "RIGHT", False
        right.label(text=connection.sentence)


def draw_style(layout: Any, context: bpy.types.Context, connection: Connection, settings: Any) -> None:
    """The style with its picture, title, and to whom it is owed."""
    facts = next((each for each in connection.styles() if each.name == settings.style_name), None)
    column = layout.column()
    column.enabled = bool(connection.styles())
    column.template_icon_view(settings, "style", show_labels=True, scale=6.0, scale_popup=6.0)
    row = column.row(align=True)
    row.prop(settings, "style", text="")
    row.operator("impasto.style_defaults", text="", icon="LOOP_BACK")
    if facts is not None:
        below = column.column(align=True)
        below.active = False
        draw_text(below, context, facts.description)
        if facts.problem:
            draw_text(column, context, facts.problem, icon="ERROR")


def draw_sliders(layout: Any, settings: Any) -> None:
    """Every parameter."""
    column = layout.column()
    column.use_property_split = True
    for each in PARAMETERS:
        column.prop(settings, each.name, slider=(each.minimum, each.maximum) == (0.0, 1.0))


def _section(module: ModuleType, name: str, title: str, closed: bool) -> type:
    """A panel below the main one, drawn by the operators of its folder."""

    def draw(self: Any, context: bpy.types.Context) -> None:
        module.draw_section(self.layout, context)

    facts = {
        "__doc__": module.__doc__,
        "bl_label": title,
        "bl_parent_id": "IMPASTO_PT_main",
        "bl_options": {"DEFAULT_CLOSED"} if closed else set(),
        "draw": guarded_call()(draw),
    }
    return type(f"IMPASTO_PT_{name}", (_Sidebar, bpy.types.Panel), facts)


_classes: list[type] = []
_drawn: list[object] = [None]


@guarded_call(LOOK_S)
def _redraw() -> float:
    """Blender's timer: draw the sequencers again where something changed behind their back."""
    now = (current().revision, failure.last_error(), JOBS.all())
    if now != _drawn[0]:
        _drawn[0] = now
        redraw_sequencers()
    return LOOK_S


def register() -> None:
    """Add operators and panels, and look for changes."""
    _classes[:] = [
        IMPASTO_OT_connect,
        IMPASTO_OT_style_defaults,
        IMPASTO_OT_dismiss,
        IMPASTO_PT_main,
        IMPASTO_PT_matte,
    ]
    for name, title, closed in SECTIONS:
        module = importlib.import_module(f"...{name}.operators", __name__)
        _classes.append(_section(module, name, title, closed))
    for each in _classes:
        bpy.utils.register_class(each)
    bpy.app.timers.register(_redraw, first_interval=LOOK_S, persistent=True)


def unregister() -> None:
    """Take all of it out."""
    if bpy.app.timers.is_registered(_redraw):
        bpy.app.timers.unregister(_redraw)
    while _classes:
        bpy.utils.unregister_class(_classes.pop())
    _drawn[0] = None
