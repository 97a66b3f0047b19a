# SPDX-License-Identifier: GPL-3.0-or-later
"""Stylize and Cancel: the operators, and their section of the panel."""

from __future__ import annotations

from typing import Any, Final

import bpy

from impasto.core.errors import ImpastoError, UsageError

from ..failure import forget, guarded, remember
from ..look.strip_look import look_of, pinned_look, require_style
from ..registration import ModuleRegistration
from ..strips.facts import KINDS
from ..ui.operator import blender_operator
from ..ui.windows import draw_text
from ..versions import all_strips_of, sequencer_scene
from . import runner
from .job import BakeJob
from .job_state import JOBS
from .plan import options_of
from .result import original_of

NOTHING_CHOSEN: Final = "expected a selected movie, image, scene or meta strip, got none; select one"


class IMPASTO_OT_stylize(bpy.types.Operator):  # noqa: N801  # Blender wants names of this form
    """Paint the selected strips in the style and put the result above them; what is there already stays"""

    bl_idname = "impasto.stylize"
    bl_label = "Stylize"

    handles: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Handles", description="Hidden frames to be painted on either side, where the strip has some", min=0
    )
    rendered: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Render First",
        description="Have Blender render the strips even where the server could read their files",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if chosen_strips(sequencer_scene(context)):
            return True
        cls.poll_message_set(NOTHING_CHOSEN)
        return False

    @guarded
    def execute(self, context: bpy.types.Context) -> set[str]:
        forget()
        scene = sequencer_scene(context)
        begun, refused = stylize(scene, handles=self.handles, rendered=self.rendered)
        for sentence in refused:
            self.report({"ERROR"}, sentence)
        if bpy.app.background:  # no timer ticks there
            runner.run_to_end(begun)
            states = [each.state for each in begun]
            for state in states:
                self.report({"INFO"} if state.phase == "finished" else {"WARNING"}, state.sentence or state.phase)
            if any(state.phase == "failed" for state in states):
                return {"CANCELLED"}
        return {"FINISHED"} if begun else {"CANCELLED"}


@blender_operator(
    "Cancel", strip=bpy.props.StringProperty(name="Strip", description="The strip whose job is stopped; empty for all")
)
def cancel(operator: Any, context: bpy.types.Context) -> set[str]:
    """Stop painting; the frames that are finished are kept for the next time"""
    return {"FINISHED"} if JOBS.ask_cancel(operator.strip or None) else {"CANCELLED"}


def chosen_strips(scene: Any) -> list[Any]:
    """The selected strips that can be baked, each once; the result of an earlier bake stands for its original."""
    if scene is None or scene.sequence_editor is None:
        return []
    chosen: list[Any] = []
    for strip in all_strips_of(scene.sequence_editor):
        if strip.select and strip.type in KINDS and (original := original_of(strip)) not in chosen:
            chosen.append(original)
    return chosen


def stylize(scene: Any, *, handles: int = 0, rendered: bool = False) -> tuple[list[BakeJob], list[str]]:
    """Begin to bake the selected strips as the panel says; the jobs, and why other strips were refused."""
    strips = chosen_strips(scene)
    if not strips:
        raise UsageError(NOTHING_CHOSEN)
    begun: list[BakeJob] = []
    refused = []
    for strip in strips:
        try:
            require_style(scene, strip)
            options = options_of(scene, handles=handles, rendered=rendered)
            begun.append(BakeJob(scene, strip, look_of(scene, strip), options))
            runner.start(begun[-1])
        except ImpastoError as error:
            refused.append(remember(error))
    return begun, list(dict.fromkeys(refused))


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """The buttons, and how far each strip is."""
    strips = chosen_strips(sequencer_scene(context))
    for strip in strips:
        if (pinned := pinned_look(strip)) is not None:
            row = layout.row()
            draw_text(row.column(), context, f"{strip.name} has a look of its own: {pinned.title}", spared=5)
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
            running = runner.running_on(job.strip)
            if running is not None and running.reason:
                draw_text(box, context, f"rendered first, because {running.reason}")
        else:
            draw_text(box, context, job.sentence or job.text)


_registration: Final = ModuleRegistration(classes=(IMPASTO_OT_stylize, cancel))
register, unregister = _registration.register, _registration.unregister
