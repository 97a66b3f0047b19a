# SPDX-License-Identifier: GPL-3.0-or-later
"""Stylize and Cancel: the operators, the timer that carries the work on, and their section of the panel."""

from __future__ import annotations

from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from impasto.core.errors import ImpastoError, UsageError

from ..failure import forget, guarded, guarded_call, remember
from ..look.look import wish_of
from ..look.pinned import kept_by
from ..strips.facts import KINDS
from ..strips.result import original_of
from ..ui.wrapped_text import draw_text
from ..versions import all_strips_of, sequencer_scene
from .job import Baking
from .job_state import JOBS
from .plan import title_of
from .strip_render import sweep

RENDERING_S: Final = 0.01
PAINTING_S: Final = 0.1
NOTHING_CHOSEN: Final = "expected a selected movie, image, scene or meta strip, got none; select one"

_running: list[Baking] = []


class IMPASTO_OT_stylize(bpy.types.Operator):  # noqa: N801  # Blender wants names of this form
    """Paint the selected strips and put the result above them"""

    bl_idname = "impasto.stylize"
    bl_label = "Stylize"
    bl_description = "Paint the selected strips in the style and put the result above them; what is there already stays"

    handles: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Handles", description="Hidden frames to be painted on either side, where the strip has some", min=0
    )
    rendered: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Render First",
        description="Have Blender render the strips even where the server could read their files",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether a strip is selected that can be painted."""
        if chosen_strips(sequencer_scene(context)):
            return True
        cls.poll_message_set(NOTHING_CHOSEN)
        return False

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin; in the background, where no timer ticks, go on to the end."""
        forget()
        scene = sequencer_scene(context)
        begun, refused = stylize(scene, handles=self.handles, rendered=self.rendered)
        for sentence in refused:
            self.report({"ERROR"}, sentence)
        if bpy.app.background:
            run_to_end(begun)
            for each in begun:
                job = each.job
                self.report({"INFO"} if job.phase == "finished" else {"WARNING"}, job.sentence or job.phase)
            if any(each.job.phase == "failed" for each in begun):
                return {"CANCELLED"}
        return {"FINISHED"} if begun else {"CANCELLED"}


class IMPASTO_OT_cancel(bpy.types.Operator):  # noqa: N801
    """Stop painting; the frames that are finished stay"""

    bl_idname = "impasto.cancel"
    bl_label = "Cancel"
    bl_description = "Stop painting; the frames that are finished are kept for the next time"

    strip: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Strip", description="The strip whose job is stopped; empty for all"
    )

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask; it takes effect with the next frame."""
        return {"FINISHED"} if JOBS.ask_cancel(self.strip or None) else {"CANCELLED"}


def chosen_strips(scene: Any) -> list[Any]:
    """The selected strips that can be painted; for the result of an earlier bake its original. Each once."""
    if scene is None or scene.sequence_editor is None:
        return []
    chosen: list[Any] = []
    for strip in all_strips_of(scene.sequence_editor):
        if strip.select and strip.type in KINDS and (original := original_of(strip)) not in chosen:
            chosen.append(original)
    return chosen


def stylize(scene: Any, *, handles: int = 0, rendered: bool = False) -> tuple[list[Baking], list[str]]:
    """Begin to paint the selected strips of a scene as its settings say; those begun, and why others were not."""
    strips = chosen_strips(scene)
    if not strips:
        raise UsageError(NOTHING_CHOSEN)
    begun, refused = [], []
    for strip in strips:
        try:
            wish = wish_of(scene, strip, handles=handles, rendered=rendered)
            begun.append(carry_on(Baking(scene, strip, wish)))
        except ImpastoError as error:
            refused.append(remember(error))
    return begun, list(dict.fromkeys(refused))


def carry_on(baking: Baking) -> Baking:
    """Have the timer take a job to its end; in the background `run_to_end` does."""
    _running.append(baking)
    if not bpy.app.background and not bpy.app.timers.is_registered(_turn):
        bpy.app.timers.register(_turn, first_interval=RENDERING_S)
    return baking


def run_to_end(bakings: list[Baking]) -> None:
    """Wait until jobs have ended: the strips take turns."""
    for each in bakings:
        each.step()
    for each in bakings:
        each.run()
        if each in _running:
            _running.remove(each)


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """The buttons, and how far each strip is."""
    strips = chosen_strips(sequencer_scene(context))
    for strip in strips:
        if (kept := kept_by(strip)) is not None:
            row = layout.row()
            draw_text(row.column(), context, f"{strip.name} keeps its own look: {title_of(kept.style)}", spared=5)
            row.operator("impasto.live_keep", text="", icon="PINNED", emboss=False)
    row = layout.row(align=True)
    row.scale_y = 1.3
    count = len(strips)
    row.operator("impasto.stylize", text="Stylize" if count < 2 else f"Stylize {count} Strips", icon="BRUSH_DATA")
    if JOBS.running:
        row.operator("impasto.cancel", text="", icon="X").strip = ""
    for job in JOBS.all():
        box = layout.box().column(align=True)
        head = box.row()
        head.label(text=f"{job.strip}: {job.title}", icon="SEQUENCE")
        if job.running:
            head.operator("impasto.cancel", text="", icon="X", emboss=False).strip = job.strip
            if hasattr(box, "progress"):
                box.progress(factor=job.fraction, text=job.text)
            else:
                box.label(text=job.text)
            how = next((each.reason for each in _running if each.strip == job.strip), "")
            if how:
                draw_text(box, context, f"rendered first, because {how}")
        else:
            draw_text(box, context, job.sentence or job.text)


@guarded_call(PAINTING_S)
def _turn() -> float | None:
    """Blender's timer: one step of each job."""
    for each in list(_running):
        if not _busy() and each.step():
            _running.remove(each)
    if not _running:
        return None
    return RENDERING_S if any(each.job.phase == "rendering" for each in _running) else PAINTING_S


def _busy() -> bool:
    """Whether the user is dragging something: then neither a scene nor a strip is added under their hands."""
    windows = bpy.context.window_manager.windows
    names = (each.bl_idname for window in windows for each in getattr(window, "modal_operators", ()))
    return any(name.startswith(("TRANSFORM_OT", "SEQUENCER_OT")) for name in names)


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _after_undo(*_: object) -> None:
    """Copies of scenes that came back with an older state go again; those in use are made anew."""
    sweep(frozenset(each.stage_name for each in _running))


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _before_load(*_: object) -> None:
    """Another file: what is painted for this one stops, and its frames stay."""
    while _running:
        _running.pop().end("cancelled", "another file was opened; stylize again to go on")


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _before_save(*_: object) -> None:
    """No copy of a scene gets into the user's file."""
    for each in _running:
        each.pause()


_CALLS: Final = {
    "undo_post": _after_undo, "redo_post": _after_undo, "load_post": _after_undo,
    "load_pre": _before_load, "save_pre": _before_save,
}  # fmt: skip
_classes: Final = (IMPASTO_OT_stylize, IMPASTO_OT_cancel)


def register() -> None:
    """Add operators and handlers."""
    for each in _classes:
        bpy.utils.register_class(each)
    for name, call in _CALLS.items():
        getattr(bpy.app.handlers, name).append(call)


def unregister() -> None:
    """Stop what runs and take everything out."""
    while _running:
        _running.pop().end("cancelled")
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    for name, call in _CALLS.items():
        handlers = getattr(bpy.app.handlers, name)
        if call in handlers:
            handlers.remove(call)
    for each in reversed(_classes):
        bpy.utils.unregister_class(each)
