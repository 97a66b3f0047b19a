# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the sequencer's sidebar: server, style and controls; the other sections are drawn by their own files."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import bpy

from impasto.core.params import PARAMETERS

from .. import failure
from ..bake import operators as bake
from ..bake.job_state import JOBS
from ..connection import current
from ..failure import guarded_call
from ..live import operators as live
from ..look import parameters
from ..registration import ModuleRegistration
from ..server_connection import Connection, State
from ..train import operators as train
from ..versions import all_strips_name, sequencer_scene
from ..wipe import operators as wipe
from .operator import blender_operator
from .windows import draw_text, redraw_sequencers

CATEGORY: Final = "Impasto"
CHECK_S: Final = 0.2
"""Seconds between two checks for something new to draw."""
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
    ("bake", bake, "Stylize", False),
    ("live", live, "Live", False),
    ("wipe", wipe, "Before and After", True),
    ("train", train, "Train from Here", True),
)
"""Name, module with a `draw_section(layout, context)`, title, whether it is closed at first."""


class _Sidebar:
    """The place of every panel of ours."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY


@blender_operator("Start Server")
def connect(_: Any, context: bpy.types.Context) -> None:
    """Connect to the render server, and start it where none runs"""
    failure.forget()
    current().connect(start=True)


@blender_operator("Style Defaults", undo=True)
def style_defaults(_: Any, context: bpy.types.Context) -> None:
    """Set all sliders to the defaults of the style"""
    parameters.take_defaults(sequencer_scene(context).impasto)


@blender_operator("Dismiss")
def dismiss(_: Any, context: bpy.types.Context) -> None:
    """Remove the last error and the jobs that have ended from the panel"""
    failure.forget()
    JOBS.clear()


class IMPASTO_PT_main(_Sidebar, bpy.types.Panel):  # noqa: N801
    """Server, last error, style and sliders."""

    bl_label = "Impasto"

    @guarded_call()
    def draw(self, context: bpy.types.Context) -> None:
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
    """The state of the server, and the button that starts it."""
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
    """The style with its picture, its title and its description."""
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


def _section(name: str, module: ModuleType, title: str, closed: bool) -> type:
    """A panel below the main one, drawn by its module."""

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


_drawn: list[object] = [None]


@guarded_call(CHECK_S)
def _redraw() -> float:
    """Blender's timer: draw the sequencers again where something changed that they do not notice."""
    now = (current().revision, failure.last_error(), JOBS.all())
    if now != _drawn[0]:
        _drawn[0] = now
        redraw_sequencers()
    return CHECK_S


_registration: Final = ModuleRegistration(
    classes=(
        connect,
        style_defaults,
        dismiss,
        IMPASTO_PT_main,
        IMPASTO_PT_matte,
        *(_section(name, module, title, closed) for name, module, title, closed in SECTIONS),
    ),
    timers={_redraw: CHECK_S},
)
register, unregister = _registration.register, _registration.unregister
