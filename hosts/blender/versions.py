# SPDX-License-Identifier: GPL-3.0-or-later
"""The differences between Blender's versions: everything that 3.4, 4.5 and 5.0 name or do differently is here."""

from __future__ import annotations

from typing import Any

import bpy


def sequencer_scene(context: bpy.types.Context) -> Any:
    """The scene whose strips the sequencer edits: the workspace's since 5.0, the window's before."""
    found = getattr(context, "sequencer_scene", None)
    if found is None:
        workspace = getattr(context, "workspace", None)
        found = getattr(workspace, "sequencer_scene", None)
    return found if found is not None else context.scene


def set_sequencer_scene(context: bpy.types.Context, scene: Any) -> None:
    """Set the scene that the sequencer edits, since 5.0, which crashes in `strip.modifiers.new` without one."""
    workspace = getattr(context, "workspace", None)
    if workspace is not None and hasattr(workspace, "sequencer_scene"):
        workspace.sequencer_scene = scene


def editor_of(scene: Any) -> Any:
    """The scene's sequence editor, made where there is none."""
    return scene.sequence_editor or scene.sequence_editor_create()


def strips_of(editor: Any) -> Any:
    """The strips of an editor or a meta strip: `strips` since 4.4, `sequences` before."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips_of(editor: Any) -> Any:
    """The strips of an editor and of its metas."""
    return getattr(editor, all_strips_name(editor))


def all_strips_name(editor: Any) -> str:
    """The name of the collection that also has the strips of metas: `strips_all` since 4.4, `sequences_all` before."""
    return "strips_all" if hasattr(editor, "strips_all") else "sequences_all"


def still_images(image_settings: Any) -> None:
    """Allow the formats of still pictures: since 5.0 that comes before `file_format`."""
    if hasattr(image_settings, "media_type"):
        image_settings.media_type = "IMAGE"


def has_live_modifier() -> bool:
    """Whether a strip can have a compositor modifier: since 5.0."""
    return bool(bpy.app.version >= (5, 0, 0))


def animation_curves(animation: Any) -> Any:
    """The curves of a data-block's action; since 4.4, where actions have layers, those of its slot."""
    action, slot = animation.action, getattr(animation, "action_slot", None)
    if slot is None:
        return getattr(action, "fcurves", ())
    bags = (strip.channelbag(slot) for layer in action.layers for strip in layer.strips)
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def effect_inputs(strip: Any) -> tuple[Any, ...]:
    """The input strips of an effect; () for any other strip."""
    inputs = (getattr(strip, name, None) for name in ("input_1", "input_2"))
    return tuple(each for each in inputs if each is not None)


def frames_per_second(scene: Any) -> float:
    """The rate of a scene's timeline: 24 over a base of 1.001 is 23.976."""
    return float(scene.render.fps) / float(scene.render.fps_base)


def own_action(animation: Any) -> Any:
    """Give a data-block a copy of its action, with the same slot, and return it."""
    slot = getattr(animation, "action_slot", None)
    action = animation.action.copy()
    animation.action = action
    if slot is not None:
        animation.action_slot = next(each for each in action.slots if each.identifier == slot.identifier)
    return action


def remove_curve(animation: Any, curve: Any) -> None:
    """Remove a curve from the action of a data-block."""
    slot = getattr(animation, "action_slot", None)
    if slot is None:
        animation.action.fcurves.remove(curve)
        return
    for layer in animation.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(slot)
            if bag is not None and curve in list(bag.fcurves):
                bag.fcurves.remove(curve)
                return


def new_curve(animation: Any, path: str, index: int) -> Any:
    """Add an empty curve to the action of a data-block."""
    slot = getattr(animation, "action_slot", None)
    if slot is None:
        return animation.action.fcurves.new(path, index=index)
    for layer in animation.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(slot)
            if bag is not None:
                return bag.fcurves.new(path, index=index)
    raise LookupError("the action has no curves of this data-block")


def write_half_exr(scene: Any) -> None:
    """Let a scene render to EXR: RGBA, half, ZIP, scene-linear Rec.709, without notes that change from run to run."""
    settings = scene.render.image_settings
    still_images(settings)
    settings.file_format = "OPEN_EXR"
    settings.color_mode, settings.color_depth, settings.exr_codec = "RGBA", "16", "ZIP"
    _state_space(scene, "Linear Rec.709")


def write_grey_png(scene: Any) -> None:
    """Let a scene render to PNG of one channel and 16 bits, as bright as it is shown."""
    settings = scene.render.image_settings
    still_images(settings)
    settings.file_format = "PNG"
    settings.color_mode, settings.color_depth = "BW", "16"
    settings.color_management = "FOLLOW_SCENE"


def _state_space(scene: Any, name: str) -> None:
    settings = scene.render.image_settings
    settings.color_management = "OVERRIDE"
    settings.view_settings.view_transform = "Standard"
    if getattr(settings, "has_linear_colorspace", False):
        settings.linear_colorspace_settings.name = name


def image_shader_name() -> str:
    """The builtin shader for a texture: 4.0 took '2D_' off its name."""
    return "IMAGE" if bpy.app.version >= (4, 0, 0) else "2D_IMAGE"


def image_shader_takes_codes() -> bool:
    """Whether the builtin shader for a texture expects sRGB codes: since 5.0.

    Before, it writes into a framebuffer that encodes, and so expects linear light.
    """
    return bool(bpy.app.version >= (5, 0, 0))


def colour_shader_name() -> str:
    """The builtin shader for one colour: 4.0 took '2D_' off its name."""
    return "UNIFORM_COLOR" if bpy.app.version >= (4, 0, 0) else "2D_UNIFORM_COLOR"
