# SPDX-License-Identifier: GPL-3.0-or-later
"""Before and After: a line over the preview, the plate to its left and the painted frame to its right.

Works in every Blender, with and without a live modifier: the painted frame of the active strip comes from the server
as a live frame does. Where the preview shows paint already, the plate too is asked for, as the style `identity`
gives it back. Both are drawn over the preview by Blender's GPU, as the view transform 'Standard' shows them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np

from impasto.core.errors import ImpastoError

from ..failure import guarded, guarded_call, sentence_of
from ..live import nodes
from ..live.frames import LiveFrames, settled
from ..live.strips import LiveStrip, read, root
from ..ui.windows import redraw_sequencers
from ..ui.wrapped_text import draw_text
from ..versions import all_strips_of, colour_shader_name, image_shader_name, image_shader_takes_codes, sequencer_scene
from .maths import (
    Outline,
    Placing,
    left_of,
    line_at,
    outline_of,
    position_at,
    right_of,
    screen_light,
    step_for,
)

PLATE_STYLE: Final = "identity"
TEXTURES: Final = 8
LONGEST_SIDE: Final = 2048
LINE: Final = (1.0, 1.0, 1.0, 0.9)

_handle: Any = None
_textures: OrderedDict[tuple[str, int, float, float], Any] = OrderedDict()
"""File, its time, exposure and gamma -> texture, the one used last behind the others."""
_problem: list[str] = []


@guarded_call()
def _shown(settings: Any, context: bpy.types.Context) -> None:
    hook()


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
        description="Where the line stands; drag it in the preview with the button beside",
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
    bl_description = "Move the line with the mouse, until a button is pressed"

    @guarded
    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Begin to follow the mouse."""
        self.former = sequencer_scene(context).impasto_wipe.position
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    @guarded
    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Follow; Escape and the right button put it back."""
        scene = sequencer_scene(context)
        if event.type in ("ESC", "RIGHTMOUSE"):
            scene.impasto_wipe.position = self.former
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            drag_to(context, scene, event.mouse_x)
        return {"FINISHED"} if event.type in ("LEFTMOUSE", "RET") else {"RUNNING_MODAL"}


def drag_to(context: bpy.types.Context, scene: Any, window_x: int) -> None:
    """Put the line under a place in the window."""
    region = preview_of(context.area)
    strip = wiped_strip(scene)
    if region is None or strip is None:
        return
    canvas_x, _ = region.view2d.region_to_view(window_x - region.x, 0)
    outline = outline_of(placing_of(scene, strip))
    if outline:
        scene.impasto_wipe.position = position_at(outline, canvas_x)
        region.tag_redraw()


def preview_of(area: Any) -> Any:
    """The preview of a sequencer's area, None where it has none."""
    regions = () if area is None else area.regions
    return next((each for each in regions if each.type == "PREVIEW" and each.width > 1), None)


def wiped_strip(scene: Any) -> Any:
    """The strip that is compared, None where the wipe is off or there is none."""
    settings = getattr(scene, "impasto_wipe", None)
    editor = scene.sequence_editor
    if settings is None or not settings.show or editor is None:
        return None
    if not settings.strip:
        return editor.active_strip
    return next((each for each in all_strips_of(editor) if each.name == settings.strip), None)


def wanted(scene: Any) -> list[LiveStrip]:
    """What the wipe wants painted: the strip's look, and its plate where the preview does not show that."""
    strip = wiped_strip(scene)
    if strip is None:
        return []
    try:
        painted = read(scene, strip)
    except ImpastoError as error:
        _problem[:] = [sentence_of(error)]
        return []
    _problem.clear()
    if nodes.modifier_of(strip) is None:
        return [replace(painted, viewer=f"{painted.viewer}\nafter")]
    return [plate_as_live(painted)]


def plate_as_live(painted: LiveStrip) -> LiveStrip:
    """The plate of a strip as a style gives it back that changes nothing."""
    look = replace(painted.look, style=PLATE_STYLE, style_state="", matte="", matte_stamp="",
                   params=settled([{"strength": 1.0}]))  # fmt: skip
    return LiveStrip(f"{painted.viewer}\nbefore", painted.plate, look, LiveFrames(root() / look.folder_name))


def placing_of(scene: Any, strip: Any) -> Placing:
    """How a strip's picture lies on the canvas, in the canvas's own pixels."""
    element = strip.elements[0] if getattr(strip, "elements", None) else None
    width = getattr(element, "orig_width", 0) or scene.render.resolution_x
    height = getattr(element, "orig_height", 0) or scene.render.resolution_y
    transform, crop = strip.transform, strip.crop
    return Placing(
        width=width,
        height=height,
        scale=(transform.scale_x, transform.scale_y),
        offset=(transform.offset_x, transform.offset_y),
        rotation=transform.rotation,
        origin=tuple(getattr(transform, "origin", (0.5, 0.5))),
        crop=(crop.min_x, crop.max_x, crop.min_y, crop.max_y),
        flip=(strip.use_flip_x, strip.use_flip_y),
    )


def pixels_of(path: Path) -> np.ndarray[Any, Any] | None:
    """(H, W, 4) float32 of a painted frame, lowest row first; None where it cannot be read."""
    image = bpy.data.images.load(str(path), check_existing=False)
    try:
        image.colorspace_settings.name = nodes.LINEAR if bpy.app.version >= (4, 0, 0) else "Linear"
        width, height = image.size
        if not width or image.channels != 4:
            return None
        samples = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(samples)
        return samples.reshape(height, width, 4)
    finally:
        bpy.data.images.remove(image)


def texture_of(path: Path, exposure: float, gamma: float) -> Any:
    """A painted frame on the GPU, as the screen is to show it; kept for the next time. None where there is none."""
    import gpu

    try:
        key = (str(path), path.stat().st_mtime_ns, exposure, gamma)
    except OSError:
        return None
    if key in _textures:
        _textures.move_to_end(key)
        return _textures[key]
    pixels = pixels_of(path)
    if pixels is None:
        return None
    step = step_for(pixels.shape[1], pixels.shape[0], LONGEST_SIDE)
    shown = np.ascontiguousarray(
        screen_light(pixels[::step, ::step], exposure, gamma, encoded=image_shader_takes_codes())
    )
    height, width = shown.shape[:2]
    texture = gpu.types.GPUTexture(
        (width, height), format="RGBA16F", data=gpu.types.Buffer("FLOAT", shown.size, shown.ravel())
    )
    _textures[key] = texture
    while len(_textures) > TEXTURES:
        _textures.popitem(last=False)
    return texture


@guarded_call()
def draw() -> None:
    """Blender's callback for each preview: draw the halves that are there, and the line."""
    context = bpy.context
    scene = sequencer_scene(context)
    strip = None if scene is None else wiped_strip(scene)
    if strip is None or getattr(context.space_data, "display_mode", "IMAGE") != "IMAGE":
        return
    outline = outline_of(placing_of(scene, strip))
    if not outline or not strip.frame_final_start <= scene.frame_current < strip.frame_final_end:
        return
    line = line_at(outline, scene.impasto_wipe.position)
    view = scene.view_settings
    for found in wanted(scene):
        number = found.number_at(scene.frame_current)
        if number is None or not found.frames.has(number):
            continue
        half = left_of(outline, line) if found.look.style == PLATE_STYLE else right_of(outline, line)
        texture = texture_of(found.frames.path_of(number), view.exposure, view.gamma)
        if half and texture is not None:
            draw_part(context.region, half, texture)
    draw_line(context.region, outline, line)


def draw_part(region: Any, part: Outline, texture: Any) -> None:
    """Draw a part of a picture where it lies on the canvas."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = gpu.shader.from_builtin(image_shader_name())
    places = [region.view2d.view_to_region(corner.x, corner.y, clip=False) for corner in part]
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": places, "texCoord": [(corner.u, corner.v) for corner in part]})
    shader.bind()
    shader.uniform_sampler("image", texture)
    batch.draw(shader)


def draw_line(region: Any, outline: Outline, x: float) -> None:
    """Draw the line over the height of the picture."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    bottom, top = (edge(corner.y for corner in outline) for edge in (min, max))
    ends = [region.view2d.view_to_region(x, y, clip=False) for y in (bottom, top)]
    shader = gpu.shader.from_builtin(colour_shader_name())
    batch = batch_for_shader(shader, "LINES", {"pos": ends})
    shader.bind()
    shader.uniform_float("color", LINE)
    gpu.state.blend_set("ALPHA")
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def hook() -> None:
    """Be called when a preview is drawn as long as the wipe is on in some scene, and not longer."""
    global _handle
    on = any(scene.impasto_wipe.show for scene in bpy.data.scenes)
    if on and _handle is None:
        _handle = bpy.types.SpaceSequenceEditor.draw_handler_add(draw, (), "PREVIEW", "POST_PIXEL")
        redraw_sequencers()
    elif not on and _handle is not None:
        _unhook()
        redraw_sequencers()


def _unhook() -> None:
    global _handle
    if _handle is not None:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handle, "PREVIEW")
        _handle = None
    _textures.clear()


def problem() -> str:
    """Why there is nothing to compare, in words; '' where there is, or the wipe is off."""
    return _problem[-1] if _problem else ""


def hooked() -> bool:
    """Whether Blender calls us when it draws a preview."""
    return _handle is not None


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """Draw the part of the panel."""
    scene = sequencer_scene(context)
    settings = scene.impasto_wipe
    layout.prop(settings, "show", toggle=True, icon="MOD_MIRROR")
    row = layout.row(align=True)
    row.enabled = settings.show
    row.prop(settings, "position", slider=True)
    row.operator("impasto.wipe_drag", text="", icon="ARROW_LEFTRIGHT")
    if settings.show and scene.view_settings.view_transform not in ("Standard", "Raw"):
        layout.label(text=f"Drawn as 'Standard', not '{scene.view_settings.view_transform}'", icon="INFO")
    if settings.show and problem():
        draw_text(layout, context, problem(), icon="ERROR")


CLASSES: Final = (ImpastoWipeSettings, IMPASTO_OT_wipe_drag)


def register() -> None:
    """Add the properties and the operator; nothing is drawn yet."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.impasto_wipe = bpy.props.PointerProperty(type=ImpastoWipeSettings)


def unregister() -> None:
    """Take all of it out, the drawing first: 4.5 dies at its exit of a callback that is left."""
    _unhook()
    if hasattr(bpy.types.Scene, "impasto_wipe"):
        del bpy.types.Scene.impasto_wipe
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
