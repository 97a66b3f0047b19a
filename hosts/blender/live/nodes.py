# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor modifier of a live strip (Blender 5.0): painted frames over the plate.

    strip ──────────────┬────────────┬───────────┐
                        │            │           │
    painted frames ── Painted ── Strength ──── Matte ── strip

'Painted' takes the plate where a frame has no file (the image node then gives nothing, with alpha 0), so that a frame
never shows another frame's picture, also without the extension. The artist sets and animates 'Strength'. 'Matte' is
the modifier's mask, where it has one. All mix in the space that the plate is stored in, as the engine does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import bpy

from ..versions import set_sequencer_scene
from .frames import LiveFrames, LivePlate

MODIFIER: Final = "Impasto Live"
MARK: Final = "impasto_live"
CACHED: Final = "impasto_cached"
FRAMES: Final = "Painted frames"
STRENGTH: Final = "Strength"
MATTE: Final = "Matte"
MASK: Final = "Mask as it looks"
CONVERSION: Final = "CompositorNodeConvertColorSpace"
LINEAR: Final = "Linear Rec.709"
DISPLAY: Final = "sRGB"
LONGEST: Final = 1_000_000


def group_of(strip: Any) -> Any:
    """The node group of a strip's live modifier, None where it has none."""
    modifier = modifier_of(strip)
    return None if modifier is None else modifier.node_group


def modifier_of(strip: Any) -> Any:
    """The live modifier of a strip, None where it has none."""
    for modifier in getattr(strip, "modifiers", ()):
        group = getattr(modifier, "node_group", None)
        if group is not None and MARK in group:
            return modifier
    return None


def add(context: bpy.types.Context, scene: Any, strip: Any, plate: LivePlate, frames: LiveFrames) -> Any:
    """Give a strip a live modifier before its others, so that they work on the painted picture; return it."""
    set_sequencer_scene(context, scene)  # without one 5.0 crashes in the next line
    modifier = strip.modifiers.new(MODIFIER, "COMPOSITOR")
    group = bpy.data.node_groups.new(f"{MODIFIER} {strip.name}", "CompositorNodeTree")
    group[MARK] = True
    _build(group, in_light=_is_linear(strip))
    modifier.node_group = group
    point(group, plate, frames)
    _put_first(scene, strip, modifier)
    return modifier


def remove(strip: Any) -> None:
    """Remove the live modifier, with its nodes and its image."""
    modifier = modifier_of(strip)
    if modifier is None:
        return
    group = modifier.node_group
    image = image_of(group)
    modifier.node_group = None  # removing a modifier does not lower its count of users
    strip.modifiers.remove(modifier)
    if group.users == 0:
        bpy.data.node_groups.remove(group)
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)


def image_of(group: Any) -> Any:
    """The image of the painted frames."""
    node = group.nodes.get(FRAMES)
    return None if node is None else node.image


def strength_of(group: Any) -> Any:
    """The socket of the strength; None where the nodes were rebuilt without it."""
    node = group.nodes.get(STRENGTH)
    return None if node is None else node.inputs[0]


def is_cached(group: Any) -> bool:
    """Whether the frames are finished files that need no server."""
    return bool(group.get(CACHED, False))


def set_cached(group: Any, *, cached: bool) -> None:
    """Set whether the frames are finished files."""
    group[CACHED] = cached


def separate(strips: Iterable[Any]) -> list[Any]:
    """Give every strip nodes and an image of its own, where a cut or a copy shares them; returns those changed.

    Blender's count of users does not tell, because cutting a strip does not raise it.
    """
    holders: dict[int, Any] = {}
    changed = []
    for strip in strips:
        modifier = modifier_of(strip)
        if modifier is None:
            continue
        group = modifier.node_group
        first = holders.setdefault(group.as_pointer(), modifier)
        if first == modifier:
            continue
        modifier.node_group = own = group.copy()
        if (image := image_of(group)) is not None:
            own.nodes[FRAMES].image = image.copy()
        if group.users == 0:  # then Blender would not save it: count the one that is left
            first.node_group = None
            first.node_group = group
        changed.append(strip)
    return changed


def follow(group: Any, begins: int) -> bool:
    """Move finished files with their strip, because nodes count the timeline's frames; returns whether they moved."""
    node = group.nodes.get(FRAMES)
    if node is None or node.frame_start == begins:
        return False
    node.frame_start = begins
    return True


def point(group: Any, plate: LivePlate, frames: LiveFrames) -> bool:
    """Point the nodes at these frames; returns whether that is a change. Writes nothing where it is none."""
    node = group.nodes.get(FRAMES)
    if node is None or node.image is None:
        return False
    path = _stored(str(frames.path_of(plate.first)))
    wanted = {
        "frame_duration": min(plate.count, LONGEST),
        "frame_start": plate.begins,
        "frame_offset": plate.first - 1,
        "use_auto_refresh": True,
    }
    changed = bool(node.image.filepath != path)
    if changed:
        node.image.filepath = path
        if node.image.colorspace_settings.name != LINEAR:
            node.image.colorspace_settings.name = LINEAR  # Blender guesses anew with every path
    for name, value in wanted.items():
        if getattr(node, name) != value:
            setattr(node, name, value)
            changed = True
    return changed


def show_through(modifier: Any, mask: Any) -> bool:
    """Show the style where another strip is bright, everywhere for None; returns whether that is a change."""
    if modifier.input_mask_type == "STRIP" and modifier.input_mask_strip == mask:
        return False
    group = modifier.node_group
    matte = group.nodes.get(MATTE)
    if matte is None:
        return False
    modifier.input_mask_type, modifier.input_mask_strip = "STRIP", mask
    # Without a mask strip the socket gives black.
    for link in list(matte.inputs[0].links):
        group.links.remove(link)
    if mask is not None:
        group.links.new(group.nodes[MASK].outputs[0], matte.inputs[0])
    return True


def convert_where_it_shows(group: Any) -> bool:
    """Mute the colour conversions while nothing is mixed in part; returns whether that is a change.

    Only a partial mix needs them, and they take twice the time of everything else. A mask or a curve may mix in part at
    any frame.
    """
    strength, matte = strength_of(group), group.nodes.get(MATTE)
    partly = strength is None or matte is None or strength.default_value not in (0.0, 1.0)
    needed = partly or bool(matte.inputs[0].links) or group.animation_data is not None
    changed = False
    for node in group.nodes:
        if node.bl_idname == CONVERSION and node.name != MASK and node.mute == needed:
            node.mute, changed = not needed, True
    return changed


def _put_first(scene: Any, strip: Any, modifier: Any) -> None:
    """Move a modifier to the top; Blender has an operator for that alone, which takes the active strip."""
    if len(strip.modifiers) == 1:
        return
    editor = scene.sequence_editor
    active = editor.active_strip
    try:
        editor.active_strip = strip
        bpy.ops.sequencer.strip_modifier_move_to_index(modifier=modifier.name, index=0)
    finally:
        editor.active_strip = active


def _stored(path: str) -> str:
    """Relative to a .blend file that is saved, so that both may be moved."""
    if not bpy.data.filepath:
        return path
    try:
        return str(bpy.path.relpath(path))
    except ValueError:  # another drive
        return path


def _is_linear(strip: Any) -> bool:
    """Whether the strip's media are linear, and so is the mix."""
    return "linear" in strip.colorspace_settings.name.lower() or strip.colorspace_settings.name.startswith("ACES")


def _build(group: Any, *, in_light: bool) -> None:
    """Make the nodes. `in_light`: the plate is stored as linear light, else it is display-encoded."""
    for name, direction in (("Image", "INPUT"), ("Mask", "INPUT"), ("Image", "OUTPUT")):
        group.interface.new_socket(name, in_out=direction, socket_type="NodeSocketColor")
    nodes, link = group.nodes, group.links.new
    given, result = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    painted = nodes.new("CompositorNodeImage")
    painted.name = painted.label = FRAMES
    image = bpy.data.images.new(group.name, 1, 1)
    image.source, image.alpha_mode = "SEQUENCE", "PREMUL"
    painted.image = image
    there = nodes.new("ShaderNodeMath")
    there.label, there.operation = "Is there", "GREATER_THAN"
    there.inputs[1].default_value = 0.0
    mask = _converted(group, given.outputs["Mask"], LINEAR, DISPLAY)
    mask.name = MASK
    plate, paint = given.outputs["Image"], painted.outputs["Image"]
    if not in_light:
        plate, paint = (_converted(group, each, LINEAR, DISPLAY).outputs[0] for each in (plate, paint))
    link(painted.outputs["Alpha"], there.inputs[0])
    over, mixes = paint, []
    for name in ("Painted", STRENGTH, MATTE):
        mix = nodes.new("ShaderNodeMix")
        mix.name = mix.label = name
        mix.data_type, mix.clamp_factor, mix.clamp_result = "RGBA", True, False
        mix.inputs[0].default_value = 1.0
        link(plate, mix.inputs[6])
        link(over, mix.inputs[7])
        over = mix.outputs[2]
        mixes.append(mix)
    link(there.outputs[0], mixes[0].inputs[0])
    link(over if in_light else _converted(group, over, DISPLAY, LINEAR).outputs[0], result.inputs[0])
    for place, node in enumerate((given, painted, there, *mixes, result)):
        node.location = (220 * place, -220 if node in (painted, there) else 0)
    mask.location = (880, -220)


def _converted(group: Any, socket: Any, from_space: str, to_space: str) -> Any:
    node = group.nodes.new(CONVERSION)
    node.from_color_space, node.to_color_space = from_space, to_space
    group.links.new(socket, node.inputs[0])
    return node
