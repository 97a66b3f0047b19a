# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist has set in the panel, or a strip keeps for itself, and what of it means a bake of that strip."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from impasto.core.errors import UnknownName, UsageError

from ..bake.plan import Cover, Look, frame_of_number
from ..connection import current
from . import parameters
from .matte import matte_files
from .pinned import kept_by, look_of_panel, style_state


@dataclass(frozen=True, slots=True)
class Wish:
    """How a strip is to be painted."""

    style: str
    """A name of the library, or the absolute path of a style file."""
    params: Mapping[str, float]
    look_at: Callable[[float], Mapping[str, float]] | None = None
    """The parameters at a frame of the timeline; None where they do not change."""
    matte_strip: str = ""
    matte_files: str = ""
    wanted: range | None = None
    """Frames of the timeline; None for all that a strip shows."""
    handles: int = 0
    """Hidden frames before and behind, where there are some."""
    rendered: bool = False
    """Have Blender render the strip even where the server could read its media."""


def wish_of(scene: Any, strip: Any, *, handles: int = 0, rendered: bool = False) -> Wish:
    """What the scene's settings say, and the strip's own look where it keeps one.

    Raises UsageError, UnknownName, UnreadableMedia for what cannot be meant.
    """
    settings, kept = scene.impasto, kept_by(strip)
    look = look_of_panel(scene) if kept is None else kept
    _require_style(strip, look.style)
    follows_curves = kept is None and parameters.is_animated(settings)
    return Wish(
        style=look.style,
        params=look.params,
        look_at=(lambda frame: parameters.look_of(settings, frame)) if follows_curves else None,
        matte_strip=settings.matte_strip if settings.matte == "STRIP" else "",
        matte_files=matte_files(settings),
        wanted=_wanted(scene, settings),
        handles=handles,
        rendered=rendered,
    )


def look_of(wish: Wish, cover: Cover, matte: str) -> Look:
    """The look of a bake's pictures: what changes from one to the next is taken where each is first seen."""
    state = style_state(wish.style)
    if wish.look_at is None:
        return Look(wish.style, state, dict(wish.params), {}, matte)
    looks = {number: wish.look_at(frame) for number, frame in frame_of_number(cover).items()}
    tracks = {name: {number: look[name] for number, look in looks.items()} for name in wish.params}
    moving = {name: track for name, track in tracks.items() if len(set(track.values())) > 1}
    first = next(iter(looks.values()))
    return Look(wish.style, state, {name: first[name] for name in wish.params}, moving, matte)


def _require_style(strip: Any, style: str) -> None:
    if os.path.isabs(style):
        if not os.path.isfile(style):
            raise UsageError(
                f"expected the style that '{strip.name}' keeps at '{style}', found no such file; train it again, or"
                " have the strip follow the panel"
            )
        return
    known = {each.name for each in current().styles()}
    if known and style not in known:
        raise UnknownName("style", style, known)


def _wanted(scene: Any, settings: Any) -> range | None:
    if settings.range == "PREVIEW":
        if not scene.use_preview_range:
            raise UsageError("expected a preview range, the scene has none; set one with P in the timeline")
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    if settings.range == "CUSTOM":
        if settings.last < settings.first:
            raise UsageError(f"expected the first frame before the last, got {settings.first} to {settings.last}")
        return range(settings.first, settings.last + 1)
    return None
