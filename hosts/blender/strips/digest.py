# SPDX-License-Identifier: GPL-3.0-or-later
"""Letters that stand for the state of a strip: while they stay the same, rendered frames of it are still good."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Final

import bpy

from ..fingerprints import fingerprint
from ..versions import animation_curves, frames_per_second
from .facts import OWN_MODIFIER, media_of, strips_within

PLACE: Final = frozenset({"frame_start", "frame_final_start", "frame_final_end", "frame_offset_start",
                          "frame_offset_end", "frame_final_duration", "channel"})  # fmt: skip
"""Where a strip is on the timeline: cutting and moving do not change what it shows."""
LAYING: Final = frozenset({"blend_type", "blend_alpha", "effect_fader", "mute", "use_default_fade", "name"})
"""How it is blended with the strips below, which the render leaves out."""
NEVER: Final = frozenset({"rna_type", "select", "select_left_handle", "select_right_handle", "lock", "color_tag",
                          "show_retiming_keys", "show_expanded", "use_proxy", "proxy", "is_active", "scene_camera",
                          "bl_system_properties_get"})  # fmt: skip
DEPTH: Final = 8


@dataclass
class StripState:
    """The properties of a strip and of everything in it."""

    values: dict[str, Any] = field(default_factory=dict)
    sure: bool = True
    """False where the strip shows what cannot be compared, such as a scene: then it is rendered each time."""


def strip_digest(scene: Any, strip: Any) -> tuple[str, bool]:
    """The letters, and whether they tell every change."""
    found = StripState()
    start = int(strip.frame_start)
    _add_strip(found, "strip", strip, start, outermost=True)
    render = scene.render
    found.values["scene"] = [
        render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y,
        frames_per_second(scene), scene.sequencer_colorspace_settings.name,
    ]  # fmt: skip
    _add_curves(found, scene, strip, start)
    return fingerprint(found.values), found.sure


def _add_strip(found: StripState, path: str, strip: Any, start: int, *, outermost: bool) -> None:
    _add_struct(found, path, strip, start, skip=PLACE | LAYING if outermost else frozenset(), depth=0)
    for file in dict.fromkeys(media_of(strip)):
        try:
            facts = os.stat(file)
            found.values[f"{path}/{file}"] = [facts.st_size, facts.st_mtime_ns]
        except OSError:
            found.values[f"{path}/{file}"] = None


def _add_struct(found: StripState, path: str, struct: Any, start: int, *, skip: frozenset[str], depth: int) -> None:
    if depth > DEPTH:
        found.sure = False
        return
    for prop in struct.bl_rna.properties:
        name = prop.identifier
        if name in NEVER or name in skip or (prop.is_runtime if hasattr(prop, "is_runtime") else False):
            continue
        try:
            value = getattr(struct, name)
        except (AttributeError, TypeError):
            continue
        inner = f"{path}.{name}"
        if prop.type == "COLLECTION":
            _add_collection(found, inner, value, start, depth)
        elif prop.type == "POINTER":
            _add_pointer(found, inner, value, start, depth)
        elif getattr(prop, "is_array", False):
            found.values[inner] = [*value]
        elif name in PLACE and name.startswith("frame") and not name.startswith("frame_offset"):
            found.values[inner] = value if name == "frame_final_duration" else value - start
        else:
            found.values[inner] = sorted(value) if isinstance(value, set) else value


def _add_collection(found: StripState, path: str, items: Any, start: int, depth: int) -> None:
    for place, each in enumerate(items):
        inner = f"{path}[{place}]"
        if isinstance(each, bpy.types.Strip):
            _add_strip(found, inner, each, start, outermost=False)
        elif isinstance(each, bpy.types.RetimingKey):
            found.values[inner] = each.timeline_frame - start
        elif not (isinstance(each, bpy.types.StripModifier) and each.name.startswith(OWN_MODIFIER)):
            _add_struct(found, inner, each, start, skip=frozenset(), depth=depth + 1)


def _add_pointer(found: StripState, path: str, value: Any, start: int, depth: int) -> None:
    if value is None:
        return
    if isinstance(value, bpy.types.ID):
        found.values[path] = value.name_full
        found.sure = False
    elif isinstance(value, bpy.types.Strip):
        found.values[path] = value.name
        if not path.endswith(("input_1", "input_2")):
            found.sure = False
    else:
        _add_struct(found, path, value, start, skip=frozenset(), depth=depth + 1)


def _add_curves(found: StripState, scene: Any, strip: Any, start: int) -> None:
    """The animation of the strip and of those inside it, in frames from its own beginning."""
    animation = scene.animation_data
    if animation is None:
        return
    paths = tuple(f"{each.path_from_id()}." for each in strips_within(strip))
    blending = strip.path_from_id("blend_alpha")
    if any(each.data_path.startswith(paths) and each.data_path != blending for each in animation.drivers):
        found.sure = False
    if animation.action is None:
        return
    for curve in animation_curves(animation):
        if curve.data_path.startswith(paths) and curve.data_path != blending:
            keys = [_curve_key(key, start) for key in curve.keyframe_points]
            found.values[f"{curve.data_path}[{curve.array_index}]"] = [keys, curve.extrapolation]


def _curve_key(key: Any, start: int) -> list[Any]:
    points = (key.co, key.handle_left, key.handle_right)
    return [*((point[0] - start, point[1]) for point in points), key.interpolation]
