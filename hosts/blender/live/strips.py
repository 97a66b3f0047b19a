# SPDX-License-Identifier: GPL-3.0-or-later
"""Which strips are live, what each of them shows, and its look: read from Blender, in the main thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import bpy

from impasto.core.errors import UnsupportedMedia, UsageError

from ..look.strip_look import look_of, matte_strip, with_curves
from ..preferences import of_addon
from ..scratch import scratch_root
from ..strips.facts import facts_of
from ..strips.media import SourcePlan, source_mode
from ..ui.windows import redraw_sequencers
from ..versions import all_strips_of
from . import nodes
from .frames import LivePlate, LiveStrip, live_strip

FOLDER: Final = "live"
OTHER_MODIFIERS: Final = "it has modifiers"
READ: Final = (
    *("type", "frame_start", "frame_final_start", "frame_final_end", "frame_duration", "animation_offset_start"),
    *("animation_offset_end", "fps", "alpha_mode", "use_reverse_frames", "strobe", "color_saturation"),
    *("color_multiply", "multiply_alpha", "use_deinterlace", "stream_index", "use_multiview"),
)
"""What of a strip decides which pictures it shows when."""


_roots: dict[tuple[str, str], Path] = {}
"""What decides the folder -> the folder, which is tested by writing a file."""
_plates: dict[str, tuple[tuple[Any, ...], LivePlate]] = {}
"""Viewer -> the signature of its strip, and what was read of it then."""


def live_strips(scene: Any) -> Iterator[Any]:
    """The scene's strips with a live modifier that follows the server: neither cached nor switched off."""
    if scene.sequence_editor is None:
        return
    for strip in all_strips_of(scene.sequence_editor):
        group = nodes.group_of(strip)
        if group is not None and not nodes.is_cached(group):
            yield strip


def viewer_of(scene: Any, strip: Any) -> str:
    """The strip's name among all scenes."""
    return f"{scene.name}\n{strip.name}"


def strip_of(viewer: str) -> tuple[Any, Any] | None:
    """Scene and strip of a viewer, None where they are gone."""
    scene_name, name, *_ = viewer.split("\n")
    scene = bpy.data.scenes.get(scene_name)
    if scene is None or scene.sequence_editor is None:
        return None
    strip = next((each for each in all_strips_of(scene.sequence_editor) if each.name == name), None)
    return None if strip is None else (scene, strip)


def read(scene: Any, strip: Any) -> LiveStrip:
    """Read what a strip shows, and its look. Raises UnsupportedMedia, UsageError."""
    viewer, signature = viewer_of(scene, strip), _signature(strip)
    known = _plates.get(viewer)
    if known is None or known[0] != signature:
        known = _plates[viewer] = (signature, plate_of(scene, strip))
    plate = known[1]
    frames = {number: plate.frame_of(number) for number in plate.numbers}
    look = with_curves(look_of(scene, strip), scene, strip, frames).at_full_strength()
    return live_strip(viewer, plate, look, root())


def update_nodes(scene: Any, strip: Any) -> LiveStrip:
    """Read a live strip, and point its nodes at the frames of the look that it has now."""
    found = read(scene, strip)
    modifier = nodes.modifier_of(strip)
    changed = (
        nodes.point(modifier.node_group, found.plate, found.frames),
        nodes.show_through(modifier, matte_strip(scene, strip)),
        nodes.convert_where_it_shows(modifier.node_group),
    )
    if any(changed):
        refresh(strip)
    return found


def keep_apart(scene: Any) -> None:
    """Let each strip that was cut, copied or moved show its own frames where it is now. Main thread."""
    if scene.sequence_editor is None:
        return
    strips = list(all_strips_of(scene.sequence_editor))
    changed = nodes.separate(strips)
    for strip in strips:
        group = nodes.group_of(strip)
        if group is not None and nodes.is_cached(group) and nodes.follow(group, int(strip.frame_start)):
            changed.append(strip)
    for strip in changed:
        refresh(strip)


def refresh(strip: Any) -> None:
    """Draw a strip anew, because its files have changed."""
    image = nodes.image_of(nodes.group_of(strip))
    if image is not None:
        image.reload()
    strip.invalidate_cache("RAW")
    redraw_sequencers()


def selected(scene: Any) -> list[Any]:
    """The selected strips of a scene. Raises UsageError where there is none."""
    editor = scene.sequence_editor
    found = [] if editor is None else [strip for strip in all_strips_of(editor) if strip.select]
    if not found:
        raise UsageError("expected a selected strip, none is; select the strips that are meant")
    return found


def shows(strip: Any, frame: int) -> bool:
    """Whether a live strip could be seen in a frame."""
    modifier = nodes.modifier_of(strip)
    return not strip.mute and not modifier.mute and strip.frame_final_start <= frame < strip.frame_final_end


def root() -> Path:
    """The folder of live frames, beside all other frames. Raises OutputError where nothing can be written."""
    own = of_addon()
    key = (bpy.data.filepath, "" if own is None else own.scratch)
    if key not in _roots:
        _roots.clear()
        _roots[key] = scratch_root()[0] / FOLDER
    return _roots[key]


def plate_of(scene: Any, strip: Any) -> LivePlate:
    """What a strip shows. Raises UnsupportedMedia where the server cannot read it, with what to do instead."""
    facts = facts_of(scene, strip)
    # The live modifier is the first, so that others work on the painted picture.
    plan = source_mode(replace(facts, altered=tuple(text for text in facts.altered if text != OTHER_MODIFIERS)))
    reason = plan if isinstance(plan, str) else unfit(plan)
    if isinstance(plan, str) or reason:
        raise UnsupportedMedia(
            f"expected a strip whose frames the server can read one by one, '{strip.name}' is none: {reason}; "
            "use Stylize, which renders such a strip first"
        )
    return LivePlate(
        input=plan.input,
        first=plan.numbers[0],
        count=len(plan.numbers),
        begins=facts.content_first,
        shown_from=facts.shown_first,
        shown_to=facts.shown_end - 1,
        space=plan.space,
    )


def unfit(plan: SourcePlan) -> str:
    """Why media that the server can read cannot be live, '' where they can. Nodes count frames one by one."""
    if plan.still:
        return "it is a single picture"
    in_a_row = all(number == plan.numbers[0] + place for place, number in enumerate(plan.numbers))
    return "" if in_a_row else "it does not show its frames one after another"


def _signature(strip: Any) -> tuple[Any, ...]:
    """Changes with everything that `plate_of` reads: reading that again loads the movie's header."""
    files: tuple[Any, ...] = (strip.filepath,) if strip.type == "MOVIE" else ()
    if strip.type == "IMAGE":
        files = (strip.directory, len(strip.elements), strip.elements[0].filename, strip.elements[-1].filename)
    return (
        *(getattr(strip, name, None) for name in READ),
        len(getattr(strip, "retiming_keys", ())),
        strip.colorspace_settings.name if hasattr(strip, "colorspace_settings") else "",
        *files,
    )
