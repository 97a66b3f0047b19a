# SPDX-License-Identifier: GPL-3.0-or-later
"""Before and After over the preview: the plate to the left of a line, the painted frame to its right.

It works in every Blender, with and without a live modifier: the server paints the frame of the active strip as a live
frame. Where the preview shows paint already, the plate too is asked for, as the style `identity` gives it back.
Blender's GPU draws both over the preview, as the view transform 'Standard' shows them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np

from impasto.core.errors import ImpastoError

from ..failure import guarded_call, sentence_of
from ..live import nodes
from ..live.frames import LiveStrip, live_strip
from ..live.strips import read, root
from ..look.look import Look
from ..ui.windows import redraw_sequencers
from ..versions import all_strips_of, colour_shader_name, image_shader_name, image_shader_takes_codes, sequencer_scene
from .maths import Outline, Placing, left_of, line_at, outline_of, right_of, screen_light, step_for

PLATE_STYLE: Final = "identity"
TEXTURES: Final = 8
LONGEST_SIDE: Final = 2048
LINE: Final = (1.0, 1.0, 1.0, 0.9)

_handle: Any = None
_textures: OrderedDict[tuple[str, int, float, float], Any] = OrderedDict()
"""File, its time, exposure and gamma -> texture, in the order of their last use."""
_problem: list[str] = []


def wiped_strip(scene: Any) -> Any:
    """The strip that is compared; None where the wipe is off or there is none."""
    settings = getattr(scene, "impasto_wipe", None)
    editor = scene.sequence_editor
    if settings is None or not settings.show or editor is None:
        return None
    if not settings.strip:
        return editor.active_strip
    return next((each for each in all_strips_of(editor) if each.name == settings.strip), None)


def wanted(scene: Any) -> LiveStrip | None:
    """What the wipe needs painted: the strip in its look, or its plate where the preview shows paint."""
    strip = wiped_strip(scene)
    if strip is None:
        return None
    try:
        painted = read(scene, strip)
    except ImpastoError as error:
        _problem[:] = [sentence_of(error)]
        return None
    _problem.clear()
    if nodes.modifier_of(strip) is None:
        return replace(painted, viewer=f"{painted.viewer}\nafter")
    # The plate, as the style that changes nothing gives it back.
    return live_strip(f"{painted.viewer}\nbefore", painted.plate, Look(PLATE_STYLE, {"strength": 1.0}), root())


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
    """A painted frame on the GPU, as the screen shows it; cached. None where there is none."""
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
    """Blender's callback for each preview: draw the halves that are painted, and the line."""
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
    found = wanted(scene)
    number = None if found is None else found.number_at(scene.frame_current)
    if found is not None and number is not None and found.frames.has(number):
        half = left_of(outline, line) if found.look.style == PLATE_STYLE else right_of(outline, line)
        texture = texture_of(found.frames.path_of(number), view.exposure, view.gamma)
        if half and texture is not None:
            draw_part(context.region, half, texture)
    draw_line(context.region, outline, line)


def draw_part(region: Any, part: Outline, texture: Any) -> None:
    """Draw a part of a picture at its place on the canvas."""
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
    """Add the drawing callback while the wipe is on in some scene, and remove it after."""
    global _handle
    on = any(scene.impasto_wipe.show for scene in bpy.data.scenes)
    if on and _handle is None:
        _handle = bpy.types.SpaceSequenceEditor.draw_handler_add(draw, (), "PREVIEW", "POST_PIXEL")
        redraw_sequencers()
    elif not on and _handle is not None:
        unhook()
        redraw_sequencers()


def unhook() -> None:
    """Remove the drawing callback, and free the textures."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handle, "PREVIEW")
        _handle = None
    _textures.clear()


def problem() -> str:
    """Why there is nothing to compare, in words; '' where there is, or the wipe is off."""
    return _problem[-1] if _problem else ""


def hooked() -> bool:
    """Whether the drawing callback is added."""
    return _handle is not None
