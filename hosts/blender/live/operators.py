# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: the operators that switch it on, off and to cached files, its settings, and its section of the panel."""

from __future__ import annotations

from typing import Any, Final

import bpy

from impasto.core.errors import ImpastoError, ServerError, UsageError

from ..bake import runner
from ..bake.result import original_of
from ..connection import current
from ..failure import remember
from ..look.strip_look import panel_look, pin, pinned_look, unpin
from ..registration import ModuleRegistration
from ..ui.operator import blender_operator
from ..ui.windows import draw_text
from ..versions import has_live_modifier, sequencer_scene
from . import nodes, playback
from .cache import CacheJob
from .strips import keep_apart, read, selected, viewer_of

INSTEAD: Final = (
    "Live needs Blender 5.0, where a strip can have compositor nodes; use Stylize, and Before and After to compare"
)


@blender_operator("Go Live", undo=True)
def live_add(operator: Any, context: bpy.types.Context) -> None:
    """Show the selected strips painted, frame by frame as the playhead moves"""
    if not has_live_modifier():
        raise UsageError(INSTEAD)
    scene = sequencer_scene(context)
    current().connect(start=True)
    refused = ""
    for strip in selected(scene):
        try:
            go_live(context, scene, strip)
        except ImpastoError as error:
            refused = remember(error)
    if refused:
        operator.report({"WARNING"}, refused)


@blender_operator("Remove Live", undo=True)
def live_remove(_: Any, context: bpy.types.Context) -> None:
    """Show the plates of the selected strips again"""
    scene = sequencer_scene(context)
    keep_apart(scene)
    for strip in selected(scene):
        playback.forget(viewer_of(scene, strip))
        nodes.remove(strip)


@blender_operator("Make Cached")
def live_cache(_: Any, context: bpy.types.Context) -> None:
    """Paint all frames of the selected live strips into files that need neither server nor extension"""
    scene = sequencer_scene(context)
    current().connect(start=True)
    jobs: list[CacheJob] = []
    for strip in selected(scene):
        if nodes.modifier_of(strip) is None:
            raise UsageError(f"expected a live strip, '{strip.name}' is none; press Go Live first")
        jobs.append(CacheJob(scene, strip))
        runner.start(jobs[-1])
    if bpy.app.background:  # no timer ticks there
        runner.run_to_end(jobs)
        for job in jobs:
            if job.state.phase != "finished":
                raise ServerError(job.state.sentence)


@blender_operator("Pin This Look", undo=True)
def live_keep(_: Any, context: bpy.types.Context) -> None:
    """Pin the style and parameters of now to the selected strips, or let them follow the panel again"""
    scene = sequencer_scene(context)
    strips = [original_of(strip) for strip in selected(scene)]
    if any(pinned_look(strip) for strip in strips):
        for strip in strips:
            unpin(strip)
    else:
        look = panel_look(scene)
        for strip in strips:
            pin(strip, look)
    playback.update_scene(scene)


def go_live(context: bpy.types.Context, scene: Any, strip: Any) -> None:
    """Give a strip its modifier, and ask for the frame under the playhead. Raises what `strips.read` raises."""
    if (group := nodes.group_of(strip)) is not None:
        if nodes.is_cached(group):
            nodes.set_cached(group, cached=False)
            playback.update_scene(scene)
        return
    found = read(scene, strip)
    nodes.add(context, scene, strip, found.plate, found.frames)
    # Blender would prefetch plates.
    scene.sequence_editor.use_prefetch = False
    playback.update_scene(scene)


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """Draw the section of the panel."""
    scene = sequencer_scene(context)
    if not has_live_modifier():
        draw_text(layout, context, INSTEAD, icon="INFO")
        return
    editor = scene.sequence_editor
    strip = None if editor is None else editor.active_strip
    group = None if strip is None else nodes.group_of(strip)
    if strip is None or group is None:
        layout.operator("impasto.live_add", icon="PLAY")
        return
    socket = nodes.strength_of(group)
    if socket is not None:
        layout.prop(socket, "default_value", text="Strength", slider=True)
    row = layout.row(align=True)
    if nodes.is_cached(group):
        layout.label(text="Cached: needs neither server nor extension", icon="FILE_CACHE")
        row.operator("impasto.live_add", text="Live Again", icon="PLAY")
    else:
        row.operator("impasto.live_cache", icon="FILE_CACHE")
        row.operator("impasto.live_keep", text="", icon="PINNED" if pinned_look(strip) else "UNPINNED")
        if problem := playback.problem_of(scene, strip):
            draw_text(layout, context, problem, icon="ERROR")
    row.operator("impasto.live_remove", text="", icon="X")
    column = layout.column(align=True)
    column.prop(scene.impasto_live, "budget_s")
    column.prop(scene.impasto_live, "budget_gb")


class ImpastoLiveSettings(bpy.types.PropertyGroup):
    """What holds for all live strips of a scene."""

    budget_s: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Wait in Renders",
        description="How long a final render waits for a painted frame before it fails",
        min=1.0,
        soft_max=600.0,
        default=120.0,
        subtype="TIME_ABSOLUTE" if bpy.app.version >= (3, 5, 0) else "NONE",
    )
    budget_gb: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Disk for Frames",
        description="Gigabytes that painted live frames may take; the oldest go first",
        min=0.1,
        soft_max=100.0,
        default=8.0,
    )


_registration: Final = ModuleRegistration(
    classes=(
        live_add,
        live_remove,
        live_cache,
        live_keep,
        ImpastoLiveSettings,
    ),
    scene_settings={"impasto_live": ImpastoLiveSettings},
)
register, unregister = _registration.register, _registration.unregister
