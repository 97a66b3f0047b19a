# SPDX-License-Identifier: GPL-3.0-or-later
"""Playback of live strips: each shows its painted frames as the playhead moves.

Nothing ever waits: a change of frame only asks, the server's answer is a file, and when it is there the strip is drawn
again. Until then the strip shows its plate. `render` waits for final renders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from impasto.core.errors import ImpastoError, ServerUnreachable
from impasto.server.client import Client

from .. import main_thread
from ..bake.strip_render import is_render_scene
from ..connection import current
from ..failure import guarded_call, remember, sentence_of
from ..registration import ModuleRegistration
from ..ui.windows import redraw_sequencers
from ..wipe import overlay
from . import nodes
from .frames import LiveStrip, trim
from .requests import LiveOutcome, LiveRequest, LiveRequests
from .strips import keep_apart, live_strips, refresh, root, strip_of, update_nodes, viewer_of

TICK_S: Final = 0.25
AHEAD: Final = 24
"""Frames after the playhead that are painted while nothing else is to be done."""
TRIM_S: Final = 30.0


@dataclass(slots=True)
class _Playback:
    """What is known of the live strips between two events."""

    requests: LiveRequests
    seen: dict[str, tuple[str, int | None, bool]] = field(default_factory=dict)
    """Viewer -> folder, frame, and whether it was painted, at the last update."""
    problems: dict[str, str] = field(default_factory=dict)
    """Viewer -> why it shows its plate."""
    strips: dict[str, LiveStrip] = field(default_factory=dict)
    trim_at: float = 0.0
    paused: bool = False


_playback: _Playback | None = None


def update_scene(scene: Any) -> None:
    """Update every live strip of a scene and ask for what the playhead needs. Main thread; never waits."""
    if _playback is None or is_render_scene(scene):
        return
    keep_apart(scene)
    for strip in live_strips(scene):
        viewer = viewer_of(scene, strip)
        try:
            found = _playback.strips[viewer] = update_nodes(scene, strip)
        except ImpastoError as error:
            _playback.problems[viewer] = sentence_of(error)
            _playback.requests.cancel(viewer)
            continue
        _update_strip(scene, found, partial(refresh, strip))
    overlay.hook()  # also where a script or a file switched it on
    if (compared := overlay.wanted(scene)) is not None:
        _update_strip(scene, compared, redraw_sequencers)


def _update_strip(scene: Any, found: LiveStrip, draw_again: Callable[[], None]) -> None:
    """Ask for what a strip needs next, and draw it again where its frame was painted or deleted."""
    assert _playback is not None
    number = found.number_at(scene.frame_current)
    there = number is not None and found.frames.has(number)
    seen = (str(found.frames.folder), number, there)
    former = _playback.seen.get(found.viewer)
    if former is not None and former[:2] == seen[:2] and former[2] != there:
        draw_again()
    _playback.seen[found.viewer] = seen
    if there:
        _playback.problems.pop(found.viewer, None)
    request = next_request(found, number, there)
    if request is None:
        return
    pending = _playback.requests.pending(found.viewer)
    if pending is None or not pending.covers(found.frames, request.first):
        _playback.requests.submit(request)


def next_request(found: LiveStrip, number: int | None, there: bool) -> LiveRequest | None:
    """What a strip needs next: the frame under the playhead, else some that follow; None where all are painted."""
    if number is None:
        return None
    if not there:
        return LiveRequest(found, number, number)
    last = min(number + AHEAD, found.plate.numbers.stop - 1)
    wanted = next(iter(found.frames.missing(range(number + 1, last + 1))), None)
    if wanted is None:
        return None
    end = wanted if found.look.animated else found.frames.run_from(wanted, last)
    return LiveRequest(found, wanted, end)


def _on_outcome(outcome: LiveOutcome) -> None:
    """Main thread: a request has ended."""
    viewer = outcome.request.strip.viewer
    if _playback is None or (place := strip_of(viewer)) is None:
        return
    scene, strip = place
    if outcome.error is not None:
        _playback.problems[viewer] = remember(outcome.error)
    elif nodes.modifier_of(strip) is not None:
        refresh(strip)
    else:
        redraw_sequencers()
    _trim()
    update_scene(scene)


def _trim() -> None:
    """From time to time delete frames on disk that are over the budget."""
    assert _playback is not None
    if time.monotonic() < _playback.trim_at:
        return
    _playback.trim_at = time.monotonic() + TRIM_S
    budget = int(bpy.context.scene.impasto_live.budget_gb * 1e9)
    trim(root(), budget, {found.frames.folder for found in _playback.strips.values()})


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _on_frame(scene: Any, depsgraph: Any) -> None:
    """The playhead has moved."""
    if _playback is not None and not _playback.paused:
        update_scene(scene)


@guarded_call(TICK_S)
def _tick() -> float:
    """Blender's timer: notice styles, parameters and files that have changed."""
    if _playback is not None and not _playback.paused:
        for scene in bpy.data.scenes:
            update_scene(scene)
    return TICK_S


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _on_load(path: Any, depsgraph: Any) -> None:
    """Another file: forget everything."""
    if _playback is not None:
        for viewer in list(_playback.seen):
            _playback.requests.cancel(viewer)
        _playback.seen.clear()
        _playback.problems.clear()
        _playback.strips.clear()


def problem_of(scene: Any, strip: Any) -> str:
    """Why a live strip shows its plate; '' where it shows paint, or waits for it."""
    return "" if _playback is None else _playback.problems.get(viewer_of(scene, strip), "")


def idle() -> bool:
    """Whether no strip waits for a frame."""
    return _playback is None or _playback.requests.idle


def forget(viewer: str) -> None:
    """Ask for nothing more for a strip."""
    if _playback is not None:
        _playback.requests.cancel(viewer)


def pause(viewers: Iterable[str]) -> None:
    """Ask for nothing while Blender renders."""
    if _playback is not None:
        _playback.paused = True
        for viewer in viewers:
            _playback.requests.cancel(viewer)


def resume() -> None:
    """Go on after a render."""
    if _playback is not None:
        _playback.paused = False


def _client() -> Client:
    """The client for the screen. Raises ServerUnreachable."""
    client = current().client()
    if client is None:
        raise ServerUnreachable(f"expected a render server, {current().sentence}; press Start in the panel")
    return client


_registration: Final = ModuleRegistration(
    handlers=(("frame_change_post", _on_frame), ("load_post", _on_load)),
    timers={_tick: TICK_S},
)


def register() -> None:
    """Add handlers and the timer."""
    global _playback
    _playback = _Playback(LiveRequests(_client, lambda outcome: main_thread.later(lambda: _on_outcome(outcome))))
    _registration.register()


def unregister() -> None:
    """Take all of it out. Live strips stay as they are: nodes that read files."""
    global _playback
    _registration.unregister()
    if _playback is not None:
        former, _playback = _playback, None
        former.requests.close()
