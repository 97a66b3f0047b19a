"""Pixels of interlaced pictures that keep their fields: each field is converted by itself.

In pictures of 4:2:0 every second line of chroma belongs to the other field, half a frame later: interpolated over the
lines of a frame, the colours of both would mix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import av
import numpy as np

from impasto.core.frame import Excess, Pixels
from impasto.core.media.movie_pixels import PixelDecoder, PixelEncoder
from impasto.core.media.movie_planes import codes_of


@dataclass
class FieldDecoder:
    """Decoded pictures -> RGB(A), field by field; see `PixelDecoder`."""

    decode: PixelDecoder

    def __call__(self, frame: av.VideoFrame) -> tuple[Pixels, Excess | None]:
        """As `PixelDecoder`; a picture without fields goes through whole."""
        if not frame.interlaced_frame or frame.height % 4 or frame.format.name == "pal8":
            return self.decode(frame)
        upper, lower = (self.decode(_field_of(frame, index)) for index in (0, 1))
        pixels = np.empty((frame.height, *upper[0].shape[1:]), upper[0].dtype)
        pixels[0::2], pixels[1::2] = upper[0], lower[0]
        return pixels, _woven_excess(upper[1], lower[1], frame.width)


@dataclass
class FieldEncoder:
    """RGB(A) -> pictures for a codec, field by field; see `PixelEncoder`."""

    encode: PixelEncoder

    @property
    def clips(self) -> bool:
        """As that of `PixelEncoder`."""
        return self.encode.clips

    def __call__(self, pixels: Pixels, excess: Excess | None = None) -> av.VideoFrame:
        """As `PixelEncoder`, for a height that four divides."""
        width = pixels.shape[1]
        fields = [
            self.encode(np.ascontiguousarray(pixels[index::2]), _excess_of_field(excess, index, width))
            for index in (0, 1)
        ]
        woven = av.VideoFrame(width, pixels.shape[0], self.encode.pixel_format)
        for plane in range(len(woven.planes)):
            lines = codes_of(woven, plane)
            for index, field in enumerate(fields):
                lines[index::2] = codes_of(field, plane)
        return woven


def _field_of(frame: av.VideoFrame, index: int) -> av.VideoFrame:
    """One field as a picture of half the height: 0 the upper lines, 1 the lower."""
    field = av.VideoFrame(frame.width, frame.height // 2, frame.format.name)
    for plane in range(len(field.planes)):
        codes_of(field, plane)[...] = codes_of(frame, plane)[index::2]
    return field


def _excess_of_field(excess: Excess | None, index: int, width: int) -> Excess | None:
    if excess is None:
        return None
    row, column = np.divmod(excess.places, width)
    own = row % 2 == index
    return Excess((row[own] // 2) * width + column[own], excess.amount[own]) if own.any() else None


def _woven_excess(upper: Excess | None, lower: Excess | None, width: int) -> Excess | None:
    moved = []
    for index, excess in enumerate((upper, lower)):
        if excess is not None:
            row, column = np.divmod(excess.places, width)
            moved.append(replace(excess, places=(2 * row + index) * width + column))
    if not moved:
        return None
    places = np.concatenate([each.places for each in moved])
    order = np.argsort(places)
    return Excess(places[order], np.concatenate([each.amount for each in moved])[order])
