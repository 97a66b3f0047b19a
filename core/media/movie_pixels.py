"""Decoded movie pictures as RGB arrays and back, with the levels that the tags promise.

FFmpeg's scaler makes two choices here that would show. Without accurate rounding it darkens by
up to one code of 255, so that is always asked for. And RGB of 16 bits comes out on a scale
whose white is not 65535: full-range sources of N bits are shifted left, limited-range sources end at 65283
(measured on FFmpeg 8; `test_white_and_black_are_exact` holds it down). Tables put both right.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from impasto.core.errors import UnsupportedMedia
from impasto.core.frame import Pixels

_ACCURATE = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
LIMITED, FULL = 1, 2
"""AVColorRange."""
_LIMITED_WHITE = 65283
_BT709, _BT601, _BT2020 = 1, 5, 9
_SCALER_MATRIX = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}
"""AVColorSpace -> the scaler's numbering."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a pixel format stores a picture."""

    name: str
    bits: int
    rgb: bool
    alpha: bool
    subsampled_x: bool
    subsampled_y: bool

    @classmethod
    def of(cls, pixel_format: str) -> Layout:
        """The layout of an FFmpeg pixel format. UnsupportedMedia for one that holds no plain picture."""
        form = av.VideoFormat(pixel_format)
        if pixel_format == "pal8":
            return cls(pixel_format, 8, True, True, False, False)
        if form.is_bayer or not form.components:
            raise UnsupportedMedia(f"expected RGB or YUV pixels in a movie, got {pixel_format}; convert the movie")
        grey = len(form.components) <= 2 and not form.is_rgb
        chroma = None if grey or form.is_rgb else form.components[1]
        return cls(
            pixel_format,
            max(component.bits for component in form.components),
            form.is_rgb,
            any(component.is_alpha for component in form.components),
            chroma is not None and chroma.width < form.components[0].width if form.width else _halved(form, "x"),
            chroma is not None and chroma.height < form.components[0].height if form.height else _halved(form, "y"),
        )


def _halved(form: av.VideoFormat, axis: str) -> bool:
    """Whether chroma has fewer samples along an axis, asked of a size that tells."""
    if form.is_rgb or len(form.components) < 3:
        return False
    return (form.chroma_width(64) if axis == "x" else form.chroma_height(64)) < 64


def matrix_for(tag: int, height: int) -> int:
    """The scaler's matrix: by the tag, else BT.709 from 720 rows on and BT.601 below, as players guess."""
    return _SCALER_MATRIX.get(tag, _BT709 if height >= 720 else _BT601)


@dataclass
class PixelDecoder:
    """Decoded frames -> RGB(A) arrays; keeps the scaler's set-up between frames. One thread owns it."""

    full_range: bool
    matrix: int

    def __post_init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """(H, W, 3 or 4), uint8 for sources of 8 bits, else uint16 with white at 65535; matrix and range undone.

        Codes above white and below black of a limited-range source are clipped.
        """
        layout = Layout.of(frame.format.name)
        deep = layout.bits > 8
        target = ("rgba64le" if layout.alpha else "rgb48le") if deep else ("rgba" if layout.alpha else "rgb24")
        if deep and layout.rgb and layout.name.startswith("gb"):
            return _planar_rgb(frame, layout)
        converted = self._scaler.reformat(
            frame,
            format=target,
            src_colorspace=self.matrix,
            src_color_range=FULL if self.full_range or layout.rgb else LIMITED,
            dst_color_range=FULL,
            interpolation=_ACCURATE,
        )
        pixels = np.ascontiguousarray(converted.to_ndarray())
        if not deep or layout.rgb:
            return pixels
        colour = _from_scaler(_white_of(layout.bits, self.full_range))
        pixels[..., :3] = colour[pixels[..., :3]]
        if layout.alpha:
            pixels[..., 3] = _from_scaler(_white_of(layout.bits, True))[pixels[..., 3]]
        return pixels


@dataclass
class PixelEncoder:
    """RGB(A) arrays -> frames in a codec's pixel format; the inverse of PixelDecoder. One thread owns it."""

    pixel_format: str
    full_range: bool
    matrix: int

    def __post_init__(self) -> None:
        self._layout = Layout.of(self.pixel_format)
        self._scaler = VideoReformatter()

    def __call__(self, pixels: Pixels) -> av.VideoFrame:
        """A frame of (H, W, 1, 3 or 4) uint8 or uint16; a missing alpha is opaque, one too many is dropped."""
        layout = self._layout
        pixels = _with_channels(pixels, layout.alpha)
        if layout.bits <= 8 and pixels.dtype == np.uint16:
            pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        elif layout.bits > 8 and pixels.dtype == np.uint8:
            pixels = pixels.astype(np.uint16) * np.uint16(257)
        if layout.bits > 8 and layout.rgb and layout.name.startswith("gb"):
            return _from_planar_rgb(pixels, layout)
        deep = pixels.dtype == np.uint16
        if deep and not layout.rgb:
            scaled = np.empty_like(pixels)
            scaled[..., :3] = _to_scaler(_white_of(layout.bits, self.full_range))[pixels[..., :3]]
            if layout.alpha:
                scaled[..., 3] = _to_scaler(_white_of(layout.bits, True))[pixels[..., 3]]
            pixels = scaled
        source = ("rgba64le" if layout.alpha else "rgb48le") if deep else ("rgba" if layout.alpha else "rgb24")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source)
        return self._scaler.reformat(
            frame,
            format=layout.name,
            dst_colorspace=self.matrix,
            src_color_range=FULL,
            dst_color_range=FULL if self.full_range or layout.rgb else LIMITED,
            interpolation=_ACCURATE,
        )


def _white_of(bits: int, full_range: bool) -> int:
    """Where the scaler puts white in 16-bit RGB."""
    return ((1 << bits) - 1) << (16 - bits) if full_range else _LIMITED_WHITE


@functools.cache
def _from_scaler(white: int) -> npt.NDArray[np.uint16]:
    codes = np.arange(65536, dtype=np.float64)
    return np.minimum(np.rint(codes * (65535 / white)), 65535).astype(np.uint16)


@functools.cache
def _to_scaler(white: int) -> npt.NDArray[np.uint16]:
    codes = np.arange(65536, dtype=np.float64)
    return np.rint(codes * (white / 65535)).astype(np.uint16)


def _planar_rgb(frame: av.VideoFrame, layout: Layout) -> Pixels:
    """Planar RGB of 9 to 16 bits without the scaler: its codes spread over 16 bits."""
    top = (1 << layout.bits) - 1
    planes = [_plane(frame, index) for index in ((2, 0, 1, 3) if layout.alpha else (2, 0, 1))]
    stacked = np.stack(planes, axis=-1).astype(np.uint32)
    return ((stacked * 65535 + top // 2) // top).astype(np.uint16)


def _plane(frame: av.VideoFrame, index: int) -> npt.NDArray[np.uint16]:
    plane = frame.planes[index]
    order = ">u2" if frame.format.name.endswith("be") else "<u2"
    rows = np.frombuffer(memoryview(plane), order).reshape(plane.height, plane.line_size // 2)
    samples: npt.NDArray[np.uint16] = rows[:, : plane.width].astype(np.uint16)
    return samples


def _from_planar_rgb(pixels: Pixels, layout: Layout) -> av.VideoFrame:
    top = (1 << layout.bits) - 1
    codes = ((pixels.astype(np.uint32) * top + 32767) // 65535).astype("<u2")
    height, width = codes.shape[:2]
    frame = av.VideoFrame(width, height, layout.name)
    for position, channel in enumerate((1, 2, 0, 3)[: codes.shape[2]]):
        plane = frame.planes[position]
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, :width] = codes[..., channel]
        plane.update(rows.tobytes())
    return frame


def _with_channels(pixels: Pixels, alpha: bool) -> Pixels:
    """Grey spread over RGB, and alpha added or dropped."""
    count = pixels.shape[2]
    colour = pixels[..., :1].repeat(3, axis=2) if count < 3 else pixels[..., :3]
    if not alpha:
        return colour
    opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([colour, pixels[..., -1:] if count in (2, 4) else opaque], axis=2)
