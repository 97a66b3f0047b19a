# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a strip, read from Blender and from the header of its movie."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import bpy

from impasto.core.errors import UnreadableMedia, UsageError

from ..versions import effect_inputs, frames_per_second, strips_of
from .media import Kind, StripFacts

KINDS: Final[dict[str, Kind]] = {"MOVIE": "movie", "IMAGE": "image", "SCENE": "scene", "META": "meta"}
OWN_MODIFIER: Final = "Impasto"
"""Modifiers whose names begin so show a live style; a bake must not contain it twice."""
WITH_ALPHA: Final = (32, 64, 128)
"""Bits of a pixel, as Blender counts them, with alpha."""
UNTURNED: Final = (1 << 16, 0, 0, 0, 1 << 16)


def facts_of(scene: Any, strip: Any) -> StripFacts:
    """Read everything of a strip that decides which pictures it shows when.

    Raises UsageError for a strip without pictures of its own.
    """
    kind = KINDS.get(strip.type)
    if kind is None:
        raise UsageError(
            f"expected a movie, image, scene or meta strip, '{strip.name}' is one of {strip.type.lower()};"
            " put it into a meta strip and stylize that"
        )
    media = media_of(strip)
    movie = _movie_facts(media[0]) if kind == "movie" and media and os.path.isfile(media[0]) else (0, False)
    element = strip.elements[0] if media and len(strip.elements) else None
    altered = alterations(strip)
    if kind == "movie" and media and is_turned(media[0]):
        altered = (*altered, "its movie is turned by its header")
    first = int(strip.frame_start)
    return StripFacts(
        name=strip.name,
        kind=kind,
        content_first=first,
        shown_first=int(strip.frame_final_start),
        shown_end=int(strip.frame_final_end),
        length=max(1, int(strip.frame_duration)),
        media=media,
        movie_frames=movie[0],
        movie_rate=float(strip.fps) if kind == "movie" else 0.0,
        scene_rate=frames_per_second(scene),
        cut_first=int(strip.animation_offset_start),
        cut_last=int(strip.animation_offset_end),
        size=(element.orig_width, element.orig_height) if element is not None else (0, 0),
        space=strip.colorspace_settings.name if media else "sRGB",
        alpha="PREMUL" if strip.alpha_mode == "PREMUL" else "STRAIGHT",
        has_alpha=movie[1],
        reversed=bool(strip.use_reverse_frames),
        strobe=float(strip.strobe),
        altered=altered,
    )


def alterations(strip: Any) -> tuple[str, ...]:
    """What Blender does to a strip's pictures that cannot be copied to another strip."""
    found = {
        "it is retimed": len(getattr(strip, "retiming_keys", ())) > 0,
        "it has modifiers": any(not each.mute and not each.name.startswith(OWN_MODIFIER) for each in strip.modifiers),
        "its colours are adjusted": (strip.color_saturation, strip.color_multiply) != (1.0, 1.0),
        "its alpha is multiplied": bool(strip.multiply_alpha),
        "it is deinterlaced": bool(strip.use_deinterlace),
        "it shows another stream of its movie": getattr(strip, "stream_index", 0) != 0,
        "it has several views": bool(getattr(strip, "use_multiview", False)),
    }
    return tuple(reason for reason, applies in found.items() if applies)


def media_of(strip: Any) -> tuple[str, ...]:
    """The absolute paths of a strip's own files; of an image strip one for each frame of its content."""
    if strip.type == "MOVIE":
        return (_absolute(strip.filepath),)
    if strip.type != "IMAGE":
        return ()
    folder = _absolute(strip.directory)
    first, end = int(strip.animation_offset_start), len(strip.elements) - int(strip.animation_offset_end)
    return tuple(os.path.join(folder, each.filename) for each in strip.elements[first : max(first + 1, end)])


def strips_within(strip: Any) -> Iterator[Any]:
    """The strip and, of a meta, all that are in it."""
    yield strip
    if strip.type == "META":
        for each in strips_of(strip):
            yield from strips_within(each)


def require_media(strip: Any) -> None:
    """Raise UnreadableMedia where the file of a movie or still, also of one inside a meta strip, is missing.

    A sequence may have gaps: the bake names those frames.
    """
    media = media_of(strip)
    if media and not any(os.path.isfile(path) for path in media):
        raise UnreadableMedia(
            f"expected the file of the strip '{strip.name}' at '{media[0]}', found none; find it again with"
            " Strip > Inputs > Change Path"
        )
    if strip.type == "META":
        for each in strips_of(strip):
            if not each.mute:
                require_media(each)
    for each in effect_inputs(strip):
        require_media(each)


def is_turned(path: str) -> bool:
    """Whether an MP4 or QuickTime file asks players to turn or flip its picture."""
    try:
        with Path(path).open("rb") as file:
            header = _box(file, b"moov")
    except OSError:
        return False
    place = 0
    while (place := header.find(b"tkhd", place)) >= 0:
        version = header[place + 4]
        matrix = place + 8 + (32 if version else 20) + 16
        size = header[matrix + 36 : matrix + 44]
        if len(size) == 8 and size != bytes(8):  # a track of sound has no size
            a, b, _, c, d = struct.unpack_from(">5i", header, matrix)
            return (a, b, 0, c, d) != UNTURNED
        place += 4
    return False


def _box(file: BinaryIO, wanted: bytes) -> bytes:
    """The content of a box on the outermost level of an MP4 file, b'' where there is none."""
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        inner = size - 8
        if size == 1:
            inner = struct.unpack(">Q", file.read(8))[0] - 16
        if name == wanted:
            return file.read(inner) if inner > 0 else file.read()
        if inner < 0 or not name.isascii():
            return b""
        file.seek(inner, os.SEEK_CUR)
    return b""


def _movie_facts(path: str) -> tuple[int, bool]:
    """Frames of a movie, and whether it has alpha. An image of the file tells both, a strip tells neither."""
    image = bpy.data.images.load(path, check_existing=False)
    try:
        return int(image.frame_duration), image.depth in WITH_ALPHA
    finally:
        bpy.data.images.remove(image)


def _absolute(path: str) -> str:
    return os.path.normpath(cast("str", bpy.path.abspath(path)))
