"""The lantern scene: the sailing boat alone on a clear film, with a lamp far brighter than white."""

from __future__ import annotations

from math import radians
from pathlib import Path

import afloat
import bpy
import materials
import numpy as np
import scene
from mathutils import Vector
from surface import ball, surface

FIRST, COUNT = 1001, 8


def build() -> bpy.types.Scene:
    """The boat keyed to cross the frame (Blender reads motion vectors from keys), lit from the left."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene.light()
    boat = scene.to_object("boat", afloat.sailing_boat(), materials.leafy("canvas", 0.28), smooth=True)
    globe = ball()
    glow = surface(globe.points * 0.42, globe.triangles, np.array([1.0, 0.62, 0.24]))
    lamp = scene.to_object("lamp", glow, materials.glowing("lamp", 50.0), smooth=True)
    lamp.location, lamp.parent = (-4.9, 0.0, 2.2), boat
    for step in range(-1, COUNT + 1):
        boat.location = (-9.5 + 2.1 * step, 0.35 * step, 0.25 * np.sin(0.9 * step))
        boat.rotation_euler = (0.08 * np.sin(0.8 * step), 0.05 * np.cos(0.9 * step), radians(6 - 1.5 * step))
        boat.keyframe_insert("location", frame=FIRST + step)
        boat.keyframe_insert("rotation_euler", frame=FIRST + step)
    lens = bpy.data.cameras.new("camera")
    eye = bpy.data.objects.new("camera", lens)
    lens.lens = 38.0
    eye.location = (0.0, -38.0, 7.0)
    eye.rotation_euler = (Vector((0.0, 0.0, 4.6)) - eye.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(eye)
    bpy.context.scene.camera = eye
    return _settings()


def _settings() -> bpy.types.Scene:
    """Clear film, no clamping of bright light, and the layers that compositors ask for."""
    view = scene.settings(320, 180, samples=64)
    view.render.film_transparent = True
    view.cycles.sample_clamp_direct = view.cycles.sample_clamp_indirect = 0.0
    layer = view.view_layers[0]
    layer.use_pass_z = layer.use_pass_normal = layer.use_pass_vector = True
    picture = view.render.image_settings
    picture.media_type = "MULTI_LAYER_IMAGE"
    picture.file_format, picture.color_depth, picture.exr_codec = "OPEN_EXR_MULTILAYER", "32", "ZIP"
    picture.use_exr_interleave = True  # one part with all layers, not a part for each
    return view


def render(work: Path) -> None:
    """All frames as float32 multi-layer EXR, `lantern.1001.exr` onwards; frames already there are kept."""
    waiting = [n for n in range(FIRST, FIRST + COUNT) if not (work / f"lantern.{n}.exr").exists()]
    if not waiting:
        return
    view = build()
    for number in waiting:
        view.frame_set(number)
        view.render.filepath = str(work / "unfinished.exr")
        bpy.ops.render.render(write_still=True)
        (work / "unfinished.exr").rename(work / f"lantern.{number}.exr")
