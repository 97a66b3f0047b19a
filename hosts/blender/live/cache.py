# SPDX-License-Identifier: GPL-3.0-or-later
"""Make cached: all frames of a live strip as files, which render where there is neither server nor extension."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Final

import bpy

from impasto.core.errors import ServerError, UsageError

from ..bake.job_state import JOBS, Job, Phase
from ..bake.plan import Look, link_or_copy, slug_of, title_of
from ..bake.scratch import scratch_root
from ..bake.server_run import Order, Painting
from ..connection import current
from ..failure import guarded_call, remember
from . import nodes
from .frames import SLUG, LiveFrames
from .strips import LiveStrip, read, refresh, strip_of

TURN_S: Final = 0.25
END_S: Final = 5.0
FOREVER_S: Final = 1e6
PHASES: Final[dict[str, Phase]] = {
    "": "painting",
    "finished": "finished",
    "cancelled": "cancelled",
    "failed": "failed",
    "unlike": "failed",
}


@dataclass(frozen=True, slots=True)
class _Cache:
    """A strip that is being cached."""

    found: LiveStrip
    frames: LiveFrames
    painting: Painting
    job: str


_under_way: list[_Cache] = []


def begin(scene: Any, strip: Any) -> None:
    """Start to paint the frames of a strip that are missing; those that are there already are taken over.

    Raises UsageError where there is no folder for them, or the strip is being painted already.
    """
    found = read(scene, strip)
    numbers = tuple(found.plate.numbers)
    frames = LiveFrames(scratch_root()[0] / f"{slug_of(strip.name)}-live-{found.look.folder_name}")
    _take_over(found.frames, frames, numbers)
    try:
        JOBS.begin(Job(strip.name, title_of(found.look.style), len(numbers), phase="painting"))
    except ValueError as error:
        raise UsageError(f"expected a strip that is not being painted, {error}; cancel that first") from error
    name = strip.name
    order = Order(found.look.input, frames.folder, SLUG, numbers, _look(found, numbers), found.plate.space)
    painting = Painting(order, current(), lambda: JOBS.cancelled(name))
    _under_way.append(_Cache(found, frames, painting, name))
    painting.begin()
    if not bpy.app.background and not bpy.app.timers.is_registered(_turn):
        bpy.app.timers.register(_turn, first_interval=TURN_S, persistent=True)


def finish_all(timeout_s: float = FOREVER_S) -> None:
    """Wait for all that is under way, for scripts. Raises ServerError with what went wrong."""
    for each in list(_under_way):
        each.painting.join(timeout_s)
        follow()
        account = each.painting.account
        if account.end != "finished" or account.failed:
            raise ServerError(_sentence(each))


def follow() -> bool:
    """Tell the panel how far it is, and turn the strips whose frames are all there; whether something goes on."""
    for each in list(_under_way):
        account = each.painting.account
        done = account.end == "finished" and not account.failed
        phase = "failed" if account.end == "finished" and not done else PHASES[account.end]
        sentence = "" if done or not account.end else _sentence(each)
        JOBS.change(each.job, phase=phase, done=account.done, fps=account.fps, sentence=sentence)
        if not account.end:
            continue
        _under_way.remove(each)
        if done:
            _turn_over(each)
        elif account.end != "cancelled":
            remember(ServerError(sentence))
    return bool(_under_way)


def _turn_over(each: _Cache) -> None:
    """Have the strip's nodes show the files, and ask for nothing any more."""
    place = strip_of(each.found.viewer)
    group = None if place is None else nodes.group_of(place[1])
    if place is None or group is None:
        return
    nodes.set_cached(group, cached=True)
    nodes.point(group, each.found.plate, each.frames)
    refresh(place[1])


def _sentence(each: _Cache) -> str:
    account = each.painting.account
    if account.failed:
        number, reason = account.failed[0]
        return f"expected all frames of '{each.job}', {len(account.failed)} failed, the first is {number}: {reason}"
    return account.sentence or f"expected all frames of '{each.job}', {account.done} were painted; make it cached again"


def _look(found: LiveStrip, numbers: tuple[int, ...]) -> Look:
    """The look as a bake knows it."""
    look = found.look
    constant = look.params_at(look.first)
    if not look.animated:
        return Look(look.style, look.style_state, constant, matte=look.matte)
    tracks = {name: {number: look.params_at(number)[name] for number in numbers} for name in constant}
    changing = {name: track for name, track in tracks.items() if len(set(track.values())) > 1}
    return Look(look.style, look.style_state, constant, changing, look.matte)


def _take_over(source: LiveFrames, target: LiveFrames, numbers: tuple[int, ...]) -> None:
    """Link, or copy, what was painted live."""
    target.folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        if source.has(number) and not target.has(number):
            with contextlib.suppress(OSError):  # the server paints it then
                link_or_copy(source.path_of(number), target.path_of(number))


@guarded_call(TURN_S)
def _turn() -> float | None:
    """Blender's timer."""
    return TURN_S if follow() else None


def leave() -> None:
    """Another file: what is under way for this one stops, and its frames are kept."""
    while _under_way:
        each = _under_way.pop()
        JOBS.ask_cancel(each.job)
        JOBS.change(each.job, phase="cancelled", sentence="another file was opened; make it cached again to go on")


def unregister() -> None:
    """Stop what is under way; its frames are kept."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    for each in _under_way:
        JOBS.ask_cancel(each.job)
    for each in _under_way:
        each.painting.join(END_S)
    _under_way.clear()
