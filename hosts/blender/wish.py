# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist has set in the panel, and what of it means a bake of one strip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from impasto.core.errors import UnknownName, UnreadableMedia, UsageError

from . import parameters
from .connection import current
from .plan import Cover, Look, frame_of_number
from .strip_media import sequence_of


@dataclass(frozen=True, slots=True)
class Wish:
    """How strips are to be painted."""

    style: str
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


def wish_of(scene: Any, *, handles: int = 0, rendered: bool = False) -> Wish:
    """What the scene's settings say. UsageError, UnknownName, UnreadableMedia for what cannot be meant."""
    settings = scene.impasto
    if not settings.style_name:
        raise UsageError("expected a style, none is chosen; start the server and choose one in the panel")
    known = {each.name for each in current().styles()}
    if known and settings.style_name not in known:
        raise UnknownName("style", settings.style_name, known)
    return Wish(
        style=settings.style_name,
        params=parameters.look_of(settings),
        look_at=(lambda frame: parameters.look_of(settings, frame)) if parameters.is_animated(settings) else None,
        matte_strip=settings.matte_strip if settings.matte == "STRIP" else "",
        matte_files=_matte_files(settings) if settings.matte == "FILES" else "",
        wanted=_wanted(scene, settings),
        handles=handles,
        rendered=rendered,
    )


def look_of(wish: Wish, cover: Cover, matte: str) -> Look:
    """The look of a bake's pictures: what changes from one to the next is taken where each is first seen."""
    sha256 = next((each.sha256 for each in current().styles() if each.name == wish.style), "")
    if wish.look_at is None:
        return Look(wish.style, sha256, dict(wish.params), {}, matte)
    looks = {number: wish.look_at(frame) for number, frame in frame_of_number(cover).items()}
    tracks = {name: {number: look[name] for number, look in looks.items()} for name in wish.params}
    moving = {name: track for name, track in tracks.items() if len(set(track.values())) > 1}
    first = next(iter(looks.values()))
    return Look(wish.style, sha256, {name: first[name] for name in wish.params}, moving, matte)


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


def _matte_files(settings: Any) -> str:
    """The picture, or the pattern of the sequence that it is of."""
    path = Path(bpy.path.abspath(settings.matte_files))
    if not settings.matte_files or not path.is_file():
        raise UnreadableMedia(f"expected a matte at '{path}', found no such file; name a picture in the panel")
    found = sequence_of((str(path),))
    if found is None:
        return str(path)
    pattern = Path(found[0])
    shape = pattern.name.replace("#" * pattern.name.count("#"), "*")
    return found[0] if len(list(path.parent.glob(_escaped(shape)))) > 1 else str(path)


def _escaped(shape: str) -> str:
    return shape.replace("[", "[[]").replace("?", "[?]")
