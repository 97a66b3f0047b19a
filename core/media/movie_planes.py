"""The code values of a decoded picture, plane by plane, where FFmpeg keeps them."""

from __future__ import annotations

import functools

import av
import numpy as np

from impasto.core.frame import Pixels


@functools.cache
def is_planar(pixel_format: str) -> bool:
    """Whether every component has a plane of its own."""
    places = [component.plane for component in av.VideoFormat(pixel_format).components]
    return len(set(places)) == len(places)


def codes_of(frame: av.VideoFrame, index: int) -> Pixels:
    """The codes of a plane, where they are: what is written there is in the frame."""
    return lines_of(frame, index)[:, : frame.planes[index].width]


def lines_of(frame: av.VideoFrame, index: int) -> Pixels:
    """The same with what fills each line up."""
    plane = frame.planes[index]
    kind = np.dtype(_sample_type(frame))
    lines: Pixels = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    return lines


def native_codes(frame: av.VideoFrame, index: int) -> Pixels:
    """The codes of a plane in the machine's byte order."""
    codes = codes_of(frame, index)
    return codes.astype(codes.dtype.newbyteorder("="), copy=False)


def fill_plane(frame: av.VideoFrame, index: int, codes: Pixels) -> None:
    """Write the codes of a plane."""
    codes_of(frame, index)[...] = codes


def _sample_type(frame: av.VideoFrame) -> str:
    if frame.format.components[0].bits <= 8:
        return "u1"
    return ">u2" if frame.format.name.endswith("be") else "<u2"
