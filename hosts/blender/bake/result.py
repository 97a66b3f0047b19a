# SPDX-License-Identifier: GPL-3.0-or-later
"""The painted pictures as an image strip above the strip that they were painted from.

What the result takes from the original:

- position, both handles and their hidden frames: the same; speed, reversal and strobe are in the order of the
  pictures, one for each frame of the timeline;
- blend mode and opacity, with their animation: copied, because no picture contains them;
- offset, scale, rotation, crop and flips, with their animation: copied where the media themselves were painted; the
  pictures contain them already where Blender rendered the strip;
- modifiers, colour adjustments, retiming: always in the pictures;
- colour space scene-linear Rec.709, alpha premultiplied: those of the files.

The original is muted, because it would show through where the result is not opaque; effects that use it use the result
instead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

from impasto.core.errors import UsageError

from ..strips.animation import LAYING, PLACING, copy_animation
from ..strips.cover import Cover
from ..versions import effect_inputs, strips_of

MARK: Final = "impasto"
"""The custom property of a result: {'origin', 'strip', 'style', 'mode', 'folder'}."""
ORIGIN: Final = "impasto_origin"
"""The custom property of a strip that has a result. The halves of a cut, and a copy, have the same one; it stays when
the strip is renamed. Which result belongs to which strip then follows from the frames that both show."""
CHANNELS: Final = 128
NAME_BYTES: Final = 63
TRANSFORM: Final = ("scale_x", "scale_y", "offset_x", "offset_y", "rotation", "origin", "filter")
CROP: Final = ("min_x", "max_x", "min_y", "max_y")


@dataclass(frozen=True, slots=True)
class BakedFrames:
    """The pictures of a finished bake."""

    style: str
    """Its title."""
    mode: str
    """'source' or 'rendered'."""
    folder: Path
    elements: tuple[str, ...]
    """The file for each frame of the cover."""
    cover: Cover
    """Where the strip is now."""
    whole: bool
    """Whether everything that the strip shows was baked."""


def place_result(scene: Any, strip: Any, baked: BakedFrames) -> tuple[str, ...]:
    """Place the pictures above their strip, or in the result of an earlier bake.

    Returns what the user should know. Raises UsageError where there is no channel. The selection does not change.
    """
    editor = scene.sequence_editor
    holder = strip.parent_meta() or editor
    result = result_of(strip, baked.style)
    active = editor.active_strip
    if result is None:
        channel = free_channel(holder, strip, baked.cover)
        result = strips_of(holder).new_image(
            name="Impasto",
            filepath=str(baked.folder / baked.elements[0]),
            channel=channel,
            frame_start=baked.cover.first,
        )
        result.name = _named(baked.style, strip.name)
        result.blend_type = strip.blend_type
        result.blend_alpha = strip.blend_alpha
        result.color_tag = strip.color_tag
        result.select = False
        _carry(strip, result, placing=baked.mode == "source")
        copy_animation(scene, strip, result, PLACING if baked.mode == "source" else LAYING)
    elif result[MARK].get("mode") != baked.mode:
        # What was in the files before is not now, or the other way round.
        _carry(strip, result, placing=baked.mode == "source")
        copy_animation(scene, strip, result, PLACING if baked.mode == "source" else LAYING)
    _fill(result, baked)
    result.colorspace_settings.name = "Linear Rec.709"
    result.alpha_mode = "PREMUL"
    if ORIGIN not in strip:
        strip[ORIGIN] = os.urandom(8).hex()
    result[MARK] = {
        "origin": strip[ORIGIN], "strip": strip.name, "style": baked.style, "mode": baked.mode,
        "folder": str(baked.folder),
    }  # fmt: skip
    notes = list(_covered(holder, strip, result))
    if baked.whole:
        strip.mute = True
        notes += _retarget(holder, strip, result)
    else:
        notes.append(f"'{strip.name}' is not muted, because only a part of it was painted")
    editor.active_strip = active
    return tuple(notes)


def result_of(strip: Any, style: str) -> Any:
    """The result that was placed for this strip and style; None where there is none.

    Of several, such as those of a cut, it is the one above the strip, unless that one is above the strip that it was
    painted from. A result that is above no part of the cut belongs to the strip too: one of the two was moved.
    """
    everything = strips_of(_holder_of(strip))
    found = [
        each
        for each in everything
        if _is_result(each)
        and _is_from(each, strip)
        and each[MARK].get("style") == style
        and _below(each, everything) in (None, strip)
    ]
    if not found:
        return None
    nearest = max(found, key=lambda each: _frames_shared(each, strip))
    if _frames_shared(nearest, strip) > 0:
        return nearest
    parts = [each for each in everything if each != strip and not _is_result(each) and _same_origin(each, strip)]
    return next((each for each in found if not any(_frames_shared(each, part) > 0 for part in parts)), None)


def original_of(strip: Any) -> Any:
    """The strip that a result was painted from; the strip itself where it is no result, or its original is deleted."""
    if not _is_result(strip):
        return strip
    everything = strips_of(_holder_of(strip))
    if (below := _below(strip, everything)) is not None:
        return below
    found = [each for each in everything if not _is_result(each) and _is_from(strip, each)]
    return max(found, key=lambda each: _frames_shared(strip, each), default=strip)


def _below(result: Any, everything: Any) -> Any:
    """The strip that a result was placed for, where both still show at the same time, else None."""
    named = (each for each in everything if each.name == result[MARK].get("strip") and not _is_result(each))
    return next((each for each in named if _is_from(result, each) and _frames_shared(result, each) > 0), None)


def _holder_of(strip: Any) -> Any:
    return strip.parent_meta() or strip.id_data.sequence_editor


def _is_result(strip: Any) -> bool:
    return strip.type == "IMAGE" and MARK in strip


def _is_from(result: Any, strip: Any) -> bool:
    """Whether a result was painted from a strip, or from what the strip is a part or a copy of."""
    return bool(result[MARK].get("origin") == strip.get(ORIGIN, ""))


def _same_origin(one: Any, other: Any) -> bool:
    return ORIGIN in one and one[ORIGIN] == other.get(ORIGIN)


def _frames_shared(one: Any, other: Any) -> int:
    """How many frames both show; 0 or less for none."""
    return int(min(one.frame_final_end, other.frame_final_end) - max(one.frame_final_start, other.frame_final_start))


def free_channel(holder: Any, strip: Any, cover: Cover) -> int:
    """The lowest channel above a strip with room, neither muted nor locked. Raises UsageError where there is none."""
    taken = {
        each.channel
        for each in strips_of(holder)
        if each.frame_final_start < cover.shown_end and each.frame_final_end > cover.shown_first
    }
    for channel in range(strip.channel + 1, CHANNELS + 1):
        facts = holder.channels[channel] if channel < len(holder.channels) else None
        if channel not in taken and not (facts is not None and (facts.mute or facts.lock)):
            return channel
    raise UsageError(f"expected a free channel above '{strip.name}', found none; move or remove a strip above it")


def _fill(result: Any, baked: BakedFrames) -> None:
    """Give the strip its files and its place."""
    cover, elements = baked.cover, baked.elements
    # Blender moves a strip that reaches over another one, for a moment too: so it is filled above all others.
    channel = result.channel
    top = 1 + max(each.channel for each in strips_of(_holder_of(result)))
    result.channel = top if top <= CHANNELS else channel
    result.frame_offset_start = result.frame_offset_end = 0
    # A strip cannot be without pictures, so the new ones come before the old ones go.
    old = len(result.elements)
    for name in elements:
        result.elements.append(name)
    for _ in range(old):
        result.elements.pop(index=0)
    result.directory = _stored(baked.folder)
    result.frame_start = cover.first
    result.frame_final_start, result.frame_final_end = cover.shown_first, cover.shown_end
    result.channel = channel


def _stored(folder: Path) -> str:
    """The folder as the .blend file stores it: relative to the file where that is saved on the same disk."""
    text = str(folder)
    if bpy.data.filepath:
        with contextlib.suppress(ValueError):  # on another drive nothing is relative
            text = bpy.path.relpath(text)
    return os.path.join(text, "")


def _carry(strip: Any, result: Any, *, placing: bool) -> None:
    """Copy how the strip is placed in the picture, or, where the files contain that, let the result fill it."""
    names = [(result.transform, strip.transform, TRANSFORM), (result.crop, strip.crop, CROP)]
    if placing:
        for own, other, properties in names:
            for name in properties:
                setattr(own, name, getattr(other, name))
        result.use_flip_x, result.use_flip_y = strip.use_flip_x, strip.use_flip_y
        return
    result.transform.scale_x = result.transform.scale_y = 1.0
    result.transform.offset_x = result.transform.offset_y = result.transform.rotation = 0
    for name in CROP:
        setattr(result.crop, name, 0)
    result.use_flip_x = result.use_flip_y = False


def _covered(holder: Any, strip: Any, result: Any) -> Iterator[str]:
    """What lay above the strip and is now below its result."""
    between = sorted(
        each.name
        for each in strips_of(holder)
        if strip.channel < each.channel < result.channel
        and each.type != "SOUND"
        and not each.mute
        and MARK not in each
        and strip not in effect_inputs(each)
        and each.frame_final_start < result.frame_final_end
        and each.frame_final_end > result.frame_final_start
    )
    if between:
        yield f"'{result.name}' lies above {', '.join(map(repr, between[:3]))}; lift what belongs above it"


def _retarget(holder: Any, strip: Any, result: Any) -> Iterator[str]:
    """Let effects use the result instead of its original; an effect must lie above its inputs."""
    for effect in strips_of(holder):
        if strip not in effect_inputs(effect):
            continue
        for name in ("input_1", "input_2"):
            if getattr(effect, name, None) == strip:
                setattr(effect, name, result)
        _lift(holder, effect, result)
        yield f"the effect '{effect.name}' is made of '{result.name}' now"


def _lift(holder: Any, effect: Any, above: Any) -> None:
    """Move an effect above its inputs, and with it the effects that use it."""
    if effect.channel > above.channel:
        return
    first, end = int(effect.frame_final_start), int(effect.frame_final_end)
    effect.channel = free_channel(holder, above, Cover(first, first, end, ()))
    for each in strips_of(holder):
        if effect in effect_inputs(each):
            _lift(holder, each, effect)


def _named(style: str, strip: str) -> str:
    name = f"{style} · {strip}"
    while len(name.encode()) > NAME_BYTES:
        name = name[:-1]
    return name
