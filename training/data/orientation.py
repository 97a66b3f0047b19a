"""Pictures the way up in which they are looked at: strokes run with gravity."""

from __future__ import annotations

import numpy as np

from impasto.core.frame import Frame, Pixels

TURNS = {
    2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
}  # fmt: skip
"""EXIF orientation -> quarter turns counter-clockwise, then whether it is mirrored from left to right; 1 is upright."""


def upright(picture: Pixels, frame: Frame) -> Pixels:
    """A picture (H, W, C) of a frame, turned as the frame's `Orientation` says."""
    stated = frame.part.attributes.get("Orientation")
    if stated is None or stated.value not in TURNS:
        return picture
    turns, mirrored = TURNS[stated.value]
    turned = np.rot90(picture, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
