"""JPEG between a page and a session: quick to write and to read, of a size that is known before it is read."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from impasto.core.errors import UnreadableMedia
from impasto.hosts.live.pictures import Picture

QUALITY: Final = 88
MOST_PIXELS: Final = 4096 * 2304
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers behind which height and width stand (ITU-T T.81, table B.1)."""


def to_jpeg(pixels: Picture) -> bytes:
    """The picture as a JPEG of sRGB, colour at half the resolution."""
    found, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert found
    return data.tobytes()


def from_jpeg(data: bytes) -> Picture:
    """The picture in a JPEG, as RGB. Raises UnreadableMedia for anything else, and for one that is too large."""
    size = _size_in(data)
    if size is None or size[0] * size[1] > MOST_PIXELS:
        what = "none" if size is None else f"one of {size[0]}x{size[1]}"
        raise UnreadableMedia(f"expected a JPEG of at most {MOST_PIXELS} pixels from the page, got {what}; reload it")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise UnreadableMedia("expected a sound JPEG from the page, got a damaged one; reload it")
    return np.ascontiguousarray(pixels, np.uint8)


def _size_in(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG states, None where it is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return (width, height) if width and height else None
        at += 2 + length
    return None
