# SPDX-License-Identifier: GPL-3.0-or-later
"""Final renders with live strips: each frame waits for its painted pictures, and fails where they do not come.

The handlers run in the thread that renders, which is not the main one in a window: they read the scene, wait for
files, and write the settings that make a render fail, and nodes that changed since the last tick of the playback.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from impasto.core.errors import ImpastoError

from .. import main_thread
from ..connection import current
from ..failure import guarded_call, remember
from ..registration import ModuleRegistration
from ..versions import all_strips_of, still_images
from . import playback
from .frames import LiveStrip
from .requests import RenderWait
from .strips import live_strips, refresh, shows, update_nodes, viewer_of

LONGEST_REASON: Final = 180


class _Render:
    """A render under way, and what must be undone when it has ended."""

    def __init__(self) -> None:
        self.waiting = RenderWait(lambda left_s: current().wait_ready(left_s))
        self.put_back: tuple[str, str, str, str] | None = None
        """Scene, path, media type and format that the user had before the render was made to fail."""
        self.marked: list[tuple[LiveStrip, int]] = []


_render: _Render | None = None


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def on_init(scene: Any, depsgraph: Any) -> None:
    """A render begins: stop the playback, which would only delay it."""
    playback.pause([viewer_of(scene, strip) for strip in live_strips(scene)])


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def on_pre(scene: Any, depsgraph: Any) -> None:
    """Before a frame is rendered: wait for every painted frame that shows in it, or let the render fail."""
    if _render is None:
        return
    frame = scene.frame_current
    for owner, at in scenes_in(scene, frame):
        for strip in live_strips(owner):
            if not shows(strip, at):
                continue
            found: LiveStrip | None = None
            try:
                found = update_nodes(owner, strip)
                _wait(found, at, owner.frame_end, scene.impasto_live.budget_s)
            except ImpastoError as error:
                _fail(scene, strip, found, at, remember(error))
                return


def scenes_in(scene: Any, frame: int, depth: int = 4) -> list[tuple[Any, int]]:
    """The scene, and every scene whose sequencer shows in it at this frame, each with its own frame."""
    found = [(scene, frame)]
    editor = scene.sequence_editor
    if editor is None or not depth:
        return found
    for strip in all_strips_of(editor):
        if strip.type != "SCENE" or strip.scene_input != "SEQUENCER" or strip.mute or strip.scene in (None, scene):
            continue
        if strip.frame_final_start <= frame < strip.frame_final_end:
            inner = strip.scene.frame_start + frame - int(strip.frame_start) + int(strip.animation_offset_start)
            found += scenes_in(strip.scene, inner, depth - 1)
    return found


def _wait(found: LiveStrip, frame: int, last_frame: int, budget_s: float) -> None:
    assert _render is not None
    number = found.number_at(frame)
    if number is None:
        return
    last = max(number, found.number_at(last_frame) or found.plate.numbers.stop - 1)
    _render.waiting.frame(found, number, last, budget_s)


def _fail(scene: Any, strip: Any, found: LiveStrip | None, frame: int, sentence: str) -> None:
    """Let the render of this frame fail, so that no plate is written in the place of a painted frame.

    Blender cannot cancel a render from a handler. An animation ends when a frame cannot be written, so it gets an
    impossible path, whose name is the reason; the user's path comes back when the render has ended. A single frame is
    written all the same: it shows the strip in one glaring colour.
    """
    assert _render is not None
    image_settings = scene.render.image_settings
    if _render.put_back is None:
        media = getattr(image_settings, "media_type", "")
        _render.put_back = (scene.name, scene.render.filepath, media, image_settings.file_format)
    if image_settings.file_format == "FFMPEG":
        still_images(image_settings)
        image_settings.file_format = "PNG"
    reason = sentence.replace("/", "|").replace("\\", "|")[:LONGEST_REASON]
    scene.render.filepath = os.path.join(str(Path(__file__)), f"Impasto, frame {frame}: {reason}", "")
    number = None if found is None else found.number_at(frame)
    if found is not None and number is not None:
        found.frames.mark(number, *_size_of(strip, scene))
        _render.marked.append((found, number))


def _size_of(strip: Any, scene: Any) -> tuple[int, int]:
    element = strip.elements[0] if len(strip.elements) else None
    width, height = (0, 0) if element is None else (element.orig_width, element.orig_height)
    return width or scene.render.resolution_x, height or scene.render.resolution_y


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def on_end(scene: Any, depsgraph: Any) -> None:
    """A render has ended, in whatever way: restore the user's settings, and go on with the playback."""
    playback.resume()
    if _render is None:
        return
    _render.waiting.cancel()
    if _render.put_back is not None:
        name, path, media, file_format = _render.put_back
        _render.put_back = None
        owner = bpy.data.scenes.get(name)
        if owner is not None:
            owner.render.filepath = path
            if media:
                owner.render.image_settings.media_type = media
            owner.render.image_settings.file_format = file_format
    marked, _render.marked = _render.marked, []
    for found, number in marked:
        found.frames.unmark(number)
    if marked:
        main_thread.later(lambda: _refresh_all(scene.name))


def _refresh_all(name: str) -> None:
    scene = bpy.data.scenes.get(name)
    for strip in () if scene is None else live_strips(scene):
        refresh(strip)


_registration: Final = ModuleRegistration(
    handlers=(
        ("render_init", on_init),
        ("render_pre", on_pre),
        ("render_complete", on_end),
        ("render_cancel", on_end),
    )
)


def register() -> None:
    """Add the handlers."""
    global _render
    _render = _Render()
    _registration.register()


def unregister() -> None:
    """Remove the handlers, and end what a render waits for."""
    global _render
    _registration.unregister()
    if _render is not None:
        _render.waiting.cancel()
        _render = None
