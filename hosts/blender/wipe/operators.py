# SPDX-License-Identifier: GPL-3.0-or-later
"""Before and After: the settings, the operator that drags the line, and the section of the panel."""

from __future__ import annotations

from typing import Any, Final

import bpy

from ..failure import guarded, guarded_call
from ..registration import ModuleRegistration
from ..ui.windows import draw_text
from ..versions import sequencer_scene
from . import overlay
from .maths import outline_of, position_at


@guarded_call()
def _shown(settings: Any, context: bpy.types.Context) -> None:
    overlay.hook()


class ImpastoWipeSettings(bpy.types.PropertyGroup):
    """The wipe of a scene."""

    show: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Before and After",
        description="Draw the painted frame of the active strip over the preview, to the right of a line",
        default=False,
        update=_shown,
    )
    position: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Line",
        description="Where the line is; drag it in the preview with the button beside",
        min=0.0,
        max=1.0,
        default=0.5,
        subtype="FACTOR",
    )
    strip: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Strip", description="The strip that is compared; empty for the active one"
    )


class IMPASTO_OT_wipe_drag(bpy.types.Operator):  # noqa: N801  # Blender wants names of this form
    """Move the line with the mouse, until a button is pressed"""

    bl_idname = "impasto.wipe_drag"
    bl_label = "Drag Line"

    @guarded
    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.former = sequencer_scene(context).impasto_wipe.position
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    @guarded
    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = sequencer_scene(context)
        if event.type in ("ESC", "RIGHTMOUSE"):  # put it back
            scene.impasto_wipe.position = self.former
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            drag_to(context, scene, event.mouse_x)
        return {"FINISHED"} if event.type in ("LEFTMOUSE", "RET") else {"RUNNING_MODAL"}


def drag_to(context: bpy.types.Context, scene: Any, window_x: int) -> None:
    """Move the line to a place in the window."""
    region = preview_of(context.area)
    strip = overlay.wiped_strip(scene)
    if region is None or strip is None:
        return
    canvas_x, _ = region.view2d.region_to_view(window_x - region.x, 0)
    outline = outline_of(overlay.placing_of(scene, strip))
    if outline:
        scene.impasto_wipe.position = position_at(outline, canvas_x)
        region.tag_redraw()


def preview_of(area: Any) -> Any:
    """The preview of a sequencer's area, None where it has none."""
    regions = () if area is None else area.regions
    return next((each for each in regions if each.type == "PREVIEW" and each.width > 1), None)


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """Draw the section of the panel."""
    scene = sequencer_scene(context)
    settings = scene.impasto_wipe
    layout.prop(settings, "show", toggle=True, icon="MOD_MIRROR")
    row = layout.row(align=True)
    row.enabled = settings.show
    row.prop(settings, "position", slider=True)
    row.operator("impasto.wipe_drag", text="", icon="ARROW_LEFTRIGHT")
    if settings.show and scene.view_settings.view_transform not in ("Standard", "Raw"):
        layout.label(text=f"Drawn as 'Standard', not '{scene.view_settings.view_transform}'", icon="INFO")
    if settings.show and overlay.problem():
        draw_text(layout, context, overlay.problem(), icon="ERROR")


_registration: Final = ModuleRegistration(
    classes=(ImpastoWipeSettings, IMPASTO_OT_wipe_drag), scene_settings={"impasto_wipe": ImpastoWipeSettings}
)
register = _registration.register


def unregister() -> None:
    """Take all of it out, the drawing first: 4.5 crashes at its exit over a callback that is left."""
    overlay.unhook()
    _registration.unregister()
