# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: a strip shows its painted frames as the playhead moves.

Nothing ever waits: a change of frame only asks, the server's answer is a file, and when it is there the strip is drawn
again. Until then the strip shows its plate. What a final render does is in `live_render`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from impasto.core.errors import ImpastoError, ServerUnreachable, UsageError
from impasto.server.client import Client

from .. import main_thread
from ..bake.strip_render import is_stage
from ..connection import current
from ..failure import guarded, guarded_call, remember, sentence_of
from ..look.pinned import keep, kept_by, look_of_panel, release
from ..strips.result import original_of
from ..ui.windows import redraw_sequencers
from ..ui.wrapped_text import draw_text
from ..versions import has_live_modifier, sequencer_scene
from ..wipe import operators as wipe
from . import cache, nodes, render
from .frames import trim
from .requests import FrameOrder, LiveRequests, Told
from .strips import (
    LiveStrip,
    brought_up,
    keep_apart,
    live_strips,
    read,
    refresh,
    root,
    selected,
    strip_of,
    viewer_of,
)

TICK_S: Final = 0.25
AHEAD: Final = 24
"""Frames behind the playhead that are painted while nothing else is to be done."""
TRIM_S: Final = 30.0
INSTEAD: Final = (
    "Live needs Blender 5.0, where a strip can have compositor nodes; use Stylize, and Before and After to compare"
)


@dataclass(slots=True)
class _State:
    """What is known of the live strips between two events."""

    requests: LiveRequests
    seen: dict[str, tuple[str, int | None, bool]] = field(default_factory=dict)
    """Viewer -> folder, frame, and whether it was there, when it was looked at last."""
    problems: dict[str, str] = field(default_factory=dict)
    """Viewer -> why it shows its plate."""
    strips: dict[str, LiveStrip] = field(default_factory=dict)
    trim_at: float = 0.0


_state: _State | None = None


class IMPASTO_OT_live_add(bpy.types.Operator):  # noqa: N801  # Blender wants names of this form
    """Show the selected strips painted, frame by frame as the playhead moves"""

    bl_idname = "impasto.live_add"
    bl_label = "Go Live"
    bl_description = "Show the selected strips painted, frame by frame as the playhead moves"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add a modifier to each; those that cannot be live are named."""
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
            self.report({"WARNING"}, refused)
        return {"FINISHED"}


class IMPASTO_OT_live_remove(bpy.types.Operator):  # noqa: N801
    """Show the plates of the selected strips again"""

    bl_idname = "impasto.live_remove"
    bl_label = "Remove Live"
    bl_description = "Show the plates of the selected strips again"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the modifiers off."""
        scene = sequencer_scene(context)
        keep_apart(scene)
        for strip in selected(scene):
            if _state is not None:
                _state.requests.drop(viewer_of(scene, strip))
            nodes.remove(strip)
        return {"FINISHED"}


class IMPASTO_OT_live_cache(bpy.types.Operator):  # noqa: N801
    """Paint all frames of the selected live strips into files that need neither server nor extension"""

    bl_idname = "impasto.live_cache"
    bl_label = "Make Cached"
    bl_description = "Paint all frames of the selected live strips into files that need neither server nor extension"

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin; without a window to go on in, stay until it is done."""
        scene = sequencer_scene(context)
        current().connect(start=True)
        for strip in selected(scene):
            if nodes.modifier_of(strip) is None:
                raise UsageError(f"expected a live strip, '{strip.name}' is none; press Go Live first")
            cache.begin(scene, strip)
        if bpy.app.background:
            cache.finish_all()
        return {"FINISHED"}


class IMPASTO_OT_live_keep(bpy.types.Operator):  # noqa: N801
    """Let the strip keep the style and parameters that it has now, or follow the panel again"""

    bl_idname = "impasto.live_keep"
    bl_label = "Keep This Look"
    bl_description = "Let the strip keep the style and parameters that it has now, or follow the panel again"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Turn it on for the selected strips, or off where one of them keeps a look already."""
        scene = sequencer_scene(context)
        strips = [original_of(strip) for strip in selected(scene)]
        if any(kept_by(strip) for strip in strips):
            for strip in strips:
                release(strip)
        else:
            look = look_of_panel(scene)
            for strip in strips:
                keep(strip, look)
        look_at(scene)
        return {"FINISHED"}


def go_live(context: bpy.types.Context, scene: Any, strip: Any) -> None:
    """Give a strip its modifier, and ask for the frame under the playhead. Raises what `live_strips.read` does."""
    if (group := nodes.group_of(strip)) is not None:
        if nodes.is_cached(group):
            nodes.set_cached(group, cached=False)
            look_at(scene)
        return
    found = read(scene, strip)
    nodes.add(context, scene, strip, found.plate, found.frames)
    # What is rendered ahead of the playhead would be plates.
    scene.sequence_editor.use_prefetch = False
    look_at(scene)


def look_at(scene: Any) -> None:
    """Bring every live strip of a scene up to date and ask for what the playhead needs. Main thread; never waits."""
    if _state is None or is_stage(scene):
        return
    keep_apart(scene)
    for strip in live_strips(scene):
        viewer = viewer_of(scene, strip)
        try:
            found = _state.strips[viewer] = brought_up(scene, strip)
        except ImpastoError as error:
            _state.problems[viewer] = sentence_of(error)
            _state.requests.drop(viewer)
            continue
        _look_at_strip(scene, found, partial(refresh, strip))
    wipe.hook()  # also where a script or a file switched it on
    for found in wipe.wanted(scene):
        _look_at_strip(scene, found, redraw_sequencers)


def _look_at_strip(scene: Any, found: LiveStrip, drawn_again: Callable[[], None]) -> None:
    """Ask for what a strip wants next, and have it drawn again where its frame has come or gone."""
    assert _state is not None
    number = found.number_at(scene.frame_current)
    there = number is not None and found.frames.has(number)
    seen = (str(found.frames.folder), number, there)
    former = _state.seen.get(found.viewer)
    if former is not None and former[:2] == seen[:2] and former[2] != there:
        drawn_again()
    _state.seen[found.viewer] = seen
    if there:
        _state.problems.pop(found.viewer, None)
    order = order_for(found, number, there)
    if order is None:
        return
    under_way = _state.requests.waits_for(found.viewer)
    if under_way is not None and under_way.covers(found.frames, order.first):
        return
    _state.requests.ask(found.viewer, order)


def order_for(found: LiveStrip, number: int | None, there: bool) -> FrameOrder | None:
    """What a strip wants next: the frame under the playhead, else some that follow; None where all is painted."""
    if number is None:
        return None
    if not there:
        return FrameOrder(found.look, found.frames, number, number)
    last = min(number + AHEAD, found.plate.numbers.stop - 1)
    wanted = next(iter(found.frames.missing(range(number + 1, last + 1))), None)
    if wanted is None:
        return None
    end = wanted if found.look.animated else found.frames.run_from(wanted, last)
    return FrameOrder(found.look, found.frames, wanted, end)


def arrived(told: Told) -> None:
    """Main thread: an order has ended."""
    if _state is None or (place := strip_of(told.viewer)) is None:
        return
    scene, strip = place
    if told.error is not None:
        _state.problems[told.viewer] = remember(told.error)
    elif nodes.modifier_of(strip) is not None:
        refresh(strip)
    else:
        redraw_sequencers()
    _trim()
    look_at(scene)


def _trim() -> None:
    """Now and then keep the frames on disk within the budget."""
    assert _state is not None
    if time.monotonic() < _state.trim_at:
        return
    _state.trim_at = time.monotonic() + TRIM_S
    budget = int(bpy.context.scene.impasto_live.budget_gb * 1e9)
    trim(root(), budget, {found.frames.folder for found in _state.strips.values()})


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def on_frame(scene: Any, depsgraph: Any) -> None:
    """The playhead has moved: ask."""
    if _state is not None and not render.under_way():
        look_at(scene)


@guarded_call(TICK_S)
def _tick() -> float:
    """Blender's timer: notice styles, parameters and files that have changed."""
    if _state is not None and not render.under_way():
        for scene in bpy.data.scenes:
            look_at(scene)
    return TICK_S


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def on_load(path: Any, depsgraph: Any) -> None:
    """Another file: nothing that was known holds."""
    cache.leave()
    if _state is not None:
        for viewer in list(_state.seen):
            _state.requests.drop(viewer)
        _state.seen.clear()
        _state.problems.clear()
        _state.strips.clear()


def problem_of(scene: Any, strip: Any) -> str:
    """Why a live strip shows its plate; '' where it does not, or a frame is on its way."""
    return "" if _state is None else _state.problems.get(viewer_of(scene, strip), "")


def idle() -> bool:
    """Whether no frame is on its way."""
    return _state is None or _state.requests.idle


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """Draw the part of the panel."""
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
        row.operator("impasto.live_keep", text="", icon="PINNED" if kept_by(strip) else "UNPINNED")
        if problem := problem_of(scene, strip):
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


def _client() -> Client:
    """The client for the screen. Raises ServerUnreachable."""
    client = current().client()
    if client is None:
        raise ServerUnreachable(f"expected a render server, {current().sentence}; press Start in the panel")
    return client


CLASSES: Final = (
    IMPASTO_OT_live_add,
    IMPASTO_OT_live_remove,
    IMPASTO_OT_live_cache,
    IMPASTO_OT_live_keep,
    ImpastoLiveSettings,
)
HANDLERS: Final = (
    ("frame_change_post", on_frame),
    ("load_post", on_load),
)


def register() -> None:
    """Add operators, handlers and the timer."""
    global _state
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.impasto_live = bpy.props.PointerProperty(type=ImpastoLiveSettings)
    requests = LiveRequests(_client, lambda told: main_thread.later(lambda: arrived(told)))
    _state = _State(requests)
    render.register(requests)
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_tick, first_interval=TICK_S, persistent=True)


def unregister() -> None:
    """Take all of it out. Live strips stay as they are: nodes that read files."""
    global _state
    render.unregister()
    cache.unregister()
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for name, handler in HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    if _state is not None:
        state, _state = _state, None
        state.requests.close()
    if hasattr(bpy.types.Scene, "impasto_live"):
        del bpy.types.Scene.impasto_live
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
