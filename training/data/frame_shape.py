"""Painted keys and masks of another size or orientation than their frame, scaled and turned to its shape."""

from __future__ import annotations

from dataclasses import replace

from impasto.core.frame import Frame, Window
from impasto.core.grade_settings import Resize
from impasto.core.media.orientation import upright_part
from impasto.core.resize import resize_frame

ROUNDING = 1.0
"""Pixels by which a scaled side may be off, because sides are whole numbers."""


def in_shape_of(picture: Frame, frame: Frame, name: str) -> tuple[Frame, str]:
    """The picture in the size of the frame's display window, and a note on what was done; empty if nothing was.

    A picture is turned as its `Orientation` says if only that gives it the frame's shape. It is scaled if its sides are
    those of the frame times one factor. Any other picture comes back unchanged.
    """
    window = frame.part.display_window
    if _size(picture) == (window.width, window.height):
        return picture, ""
    turned = _turned(picture)
    if not _same_shape(picture, window):
        if turned is None or not _same_shape(turned, window):
            return picture, ""
        done = ["turned as its EXIF orientation says"]
        picture = turned
    else:
        done = []
    width, height = _size(picture)
    if (width, height) != (window.width, window.height):
        done.append(f"scaled from {width}x{height} to the frame's {window.width}x{window.height}")
        picture = resize_frame(picture, Resize(width=window.width, height=window.height))
    return picture, f"'{name}' is {' and '.join(done)} for the training; save it so to be exact"


def _size(picture: Frame) -> tuple[int, int]:
    window = picture.part.display_window
    return window.width, window.height


def _same_shape(picture: Frame, window: Window) -> bool:
    """Whether the sides of a picture are those of the window times one factor, up to rounding."""
    width, height = _size(picture)
    if width * window.height >= height * window.width:
        return abs(height - width * window.height / window.width) <= ROUNDING
    return abs(width - height * window.width / window.height) <= ROUNDING


def _turned(picture: Frame) -> Frame | None:
    """The picture turned upright; None if it states no orientation."""
    part = upright_part(picture.part)
    if part is picture.part:
        return None
    parts = list(picture.parts)
    parts[picture.layer.part] = part
    return replace(picture, parts=tuple(parts))
