"""Which way up a picture is looked at, as EXIF numbers it, and pictures turned so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from impasto.core.frame import Attribute, Part, Pixels, Window

TURNS = {
    1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip
"""EXIF orientation (Exif 3.0, section 4.6.5.1.6) -> quarter turns counter-clockwise, then whether it is mirrored from
left to right."""
NAME = "Orientation"


def orientation_of(part: Part) -> int:
    """The EXIF orientation that a part states, 1 where it states none."""
    stated = part.attributes.get(NAME)
    return int(stated.value) if stated is not None and stated.value in TURNS else 1


def orientation_for(rotation: int, *, mirrored: bool) -> int:
    """The EXIF orientation for a rotation in degrees counter-clockwise, then mirrored; the nearest quarter turn."""
    wanted = (round(rotation / 90) % 4, mirrored)
    return next(number for number, turn in TURNS.items() if turn == wanted)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """A picture (H, W, C) turned as it is looked at; a view."""
    turns, mirrored = TURNS[orientation]
    turned = np.rot90(pixels, turns)
    return turned[:, ::-1] if mirrored else turned


def is_across(part: Part) -> bool:
    """Whether a part is looked at by a quarter turn, so that its width is seen as its height."""
    return TURNS[orientation_of(part)][0] % 2 == 1


def upright_as(part: Part, picture: Pixels) -> Pixels:
    """A picture (H, W, C) of a part, turned as the part states; contiguous."""
    return np.ascontiguousarray(upright(picture, orientation_of(part)))


def upright_part(part: Part) -> Part:
    """The part turned as it states, with its windows, and stating that it is upright."""
    orientation = orientation_of(part)
    if orientation == 1:
        return part
    display, data = part.display_window, part.data_window
    left, top = data.x - display.x, data.y - display.y
    right, bottom = display.width - left - data.width, display.height - top - data.height
    turns, mirrored = TURNS[orientation]
    for _ in range(turns):
        left, top, right, bottom = top, right, bottom, left
    if mirrored:
        left = right
    across = turns % 2 == 1
    width, height = (data.height, data.width) if across else (data.width, data.height)
    shown = (display.height, display.width) if across else (display.width, display.height)
    return replace(
        part,
        pixels=upright_as(part, part.pixels),
        data_window=Window(display.x + left, display.y + top, width, height),
        display_window=Window(display.x, display.y, *shown),
        pixel_aspect=1 / part.pixel_aspect if across else part.pixel_aspect,
        attributes={**part.attributes, NAME: Attribute("int", 1)},
    )
