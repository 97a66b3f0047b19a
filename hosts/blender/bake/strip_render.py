# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender renders one strip alone into files, from a copy of the scene that the user never works in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final, Self

import bpy

from impasto.core.errors import NoSpace, OutputError, UsageError

from ..strips.facts import OWN_MODIFIER, strips_within
from ..ui.windows import in_a_window
from ..versions import (
    all_strips_of,
    animation_curves,
    effect_inputs,
    own_action,
    remove_curve,
    strips_of,
    write_grey_png,
    write_half_exr,
)

MARK: Final = "impasto_scratch"
"""The custom property of a copy, also in a file that was saved with it."""
PART: Final = ".part_"
ROOM_BYTES: Final = 32 << 20


class RenderScene:
    """A copy of a scene that shows one strip alone, over a range of frames; a context manager.

    Position, crop, modifiers, speed and everything else of the strip are rendered as they are, but not its blend mode
    and opacity. The user's scene does not change, nor does its current frame.
    """

    def __init__(self, scene: Any, strip: Any, frames: range, *, matte: bool = False) -> None:
        """Raises UsageError where the strip cannot be found in a copy of the scene."""
        self.name = ""
        self._ending = ".png" if matte else ".exr"
        copy = scene.copy()
        self.name = copy.name
        copy[MARK] = True
        self._action: str | None = None
        try:
            self._set_up(copy, strip.name, frames, matte=matte)
        except BaseException:
            self.remove()
            raise

    @property
    def exists(self) -> bool:
        """Whether the copy still exists: undo, and loading a file, may remove it."""
        found = bpy.data.scenes.get(self.name)
        return found is not None and MARK in found

    def render(self, frame: int, path: Path) -> None:
        """Render one frame of the timeline into a file, whole or not at all. Raises OutputError, NoSpace."""
        scene = bpy.data.scenes[self.name]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"expected to make the folder '{path.parent}', got: {error.strerror}; name another folder for frames"
            ) from error
        scene.render.filepath = str(path.parent / PART)
        scene.frame_start = scene.frame_end = frame
        written = Path(scene.render.frame_path(frame=frame))
        try:
            # With `animation`, because a still takes the current frame of the window's scene, whichever it is given.
            with in_a_window():
                bpy.ops.render.render(animation=True, scene=scene.name)
        except RuntimeError as error:
            self._explain(written, path, error)
        if not written.is_file() or not written.stat().st_size:
            self._explain(written, path, None)
        os.replace(written, path)

    def remove(self) -> None:
        """Remove the copy."""
        found = bpy.data.scenes.get(self.name)
        if found is not None:
            bpy.data.scenes.remove(found)
        if self._action is not None and (action := bpy.data.actions.get(self._action)) is not None:
            bpy.data.actions.remove(action)
        self._action = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _set_up(self, copy: Any, name: str, frames: range, *, matte: bool) -> None:
        found = all_strips_of(copy.sequence_editor).get(name)
        if found is None:
            raise UsageError(f"expected the strip '{name}' in its scene, found none; was it deleted? Select it again")
        _solo(copy, found)
        self._action = _remove_blending(copy, found)
        if not matte:  # a matte that ends is black from there on
            found.frame_final_start = min(found.frame_final_start, frames.start)
            found.frame_final_end = max(found.frame_final_end, frames.stop)
        render = copy.render
        render.use_sequencer, render.use_compositing, render.use_multiview = True, False, False
        render.resolution_percentage = 100
        render.use_border = render.use_crop_to_border = render.use_placeholder = False
        render.use_overwrite = render.use_file_extension = True
        render.frame_map_old = render.frame_map_new = 100
        copy.frame_step = 1
        # 5.0 answers for a movie of another rate with the frame before, where that one is in its cache.
        for cache in ("use_cache_raw", "use_cache_final", "use_prefetch"):
            setattr(copy.sequence_editor, cache, False)
        copy.use_preview_range = False
        copy.view_settings.view_transform, copy.view_settings.look = "Standard", "None"
        copy.view_settings.exposure, copy.view_settings.gamma = 0.0, 1.0
        copy.view_settings.use_curve_mapping = False
        for each in render.bl_rna.properties:
            if each.identifier.startswith("use_stamp"):
                setattr(render, each.identifier, False)
        if matte:
            write_grey_png(copy)
        else:
            write_half_exr(copy)

    def _explain(self, written: Path, path: Path, error: RuntimeError | None) -> None:
        """Raise the reason why a frame was not written."""
        written.unlink(missing_ok=True)
        if shutil.disk_usage(path.parent).free < ROOM_BYTES:
            raise NoSpace(f"expected room for '{path}', but the disk is full; free some space and stylize again")
        said = "Blender wrote nothing" if error is None else " ".join(str(error).removeprefix("Error: ").split())
        raise OutputError(f"expected '{path}' from Blender, got: {said}; name another folder for frames") from error


def is_render_scene(scene: Any) -> bool:
    """Whether a scene is such a copy, which other parts of the extension leave alone."""
    return MARK in scene


def sweep(keep: frozenset[str] = frozenset()) -> int:
    """Remove copies that undo or an old file brought back, except those in use; returns how many."""
    left = [scene for scene in bpy.data.scenes if is_render_scene(scene) and scene.name not in keep]
    for scene in left:
        if len(bpy.data.scenes) > 1:
            bpy.data.scenes.remove(scene)
    return len(left)


def _solo(copy: Any, strip: Any) -> None:
    """Mute everything except the strip and the metas that it is in."""
    editor = copy.sequence_editor
    chain = [strip]
    while (parent := chain[-1].parent_meta()) is not None:
        chain.append(parent)
    for level in chain:
        parent = level.parent_meta()
        holder = editor if parent is None else parent
        # An effect would hide its own inputs, even where it is muted itself.
        for other in [each for each in strips_of(holder) if _uses(each, level)]:
            strips_of(holder).remove(other)
        for other in strips_of(holder):
            other.mute = other != level
        holder.channels[level.channel].mute = False
    for parent in chain[1:]:
        _reset_meta(parent)


def _uses(strip: Any, wanted: Any) -> bool:
    return any(each == wanted or _uses(each, wanted) for each in effect_inputs(strip))


def _reset_meta(meta: Any) -> None:
    """Undo what a meta does to the strips inside: it does that to the result too, which is placed beside them."""
    transform, crop = meta.transform, meta.crop
    transform.offset_x = transform.offset_y = 0
    transform.scale_x = transform.scale_y = 1.0
    transform.rotation = 0.0
    crop.min_x = crop.max_x = crop.min_y = crop.max_y = 0
    meta.use_flip_x = meta.use_flip_y = False
    meta.blend_type, meta.blend_alpha = "ALPHA_OVER", 1.0
    meta.color_saturation = meta.color_multiply = 1.0
    for each in list(meta.modifiers):
        meta.modifiers.remove(each)


def _remove_blending(copy: Any, strip: Any) -> str | None:
    """Remove the strip's blending with its animation; returns the name of the action that was made for that."""
    strip.blend_type, strip.blend_alpha = "ALPHA_OVER", 1.0
    for inner in strips_within(strip):
        for each in list(inner.modifiers):
            if each.name.startswith(OWN_MODIFIER):
                inner.modifiers.remove(each)
    animation = copy.animation_data
    path = strip.path_from_id("blend_alpha")
    if animation is None:
        return None
    for driver in [each for each in animation.drivers if each.data_path == path]:
        animation.drivers.remove(driver)
    if animation.action is None or not any(each.data_path == path for each in animation_curves(animation)):
        return None
    name = own_action(animation).name
    for curve in [each for each in animation_curves(animation) if each.data_path == path]:
        remove_curve(animation, curve)
    return str(name)
