"""Decoded movie pictures as RGB arrays and back, with the levels that the tags promise.

FFmpeg's scaler makes two choices here that would show. Without accurate rounding it darkens by
up to one code of 255, so that is always asked for. And RGB of 16 bits comes out on a scale
whose white is not 65535: full-range sources of N bits are shifted left, limited-range sources end at 65283, and on the
way back to full range white is expected at 65280, whatever the depth (measured on FFmpeg 8; `test_movie_pixels` holds
it down). Tables put that right.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

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
_LIMITED_WHITE, _FULL_WHITE = 65283, 65280
"""Where the scaler expects white in 16-bit RGB that it turns into YUV of either range."""
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
            threads=_threads_for(frame),
        )
        pixels = np.ascontiguousarray(converted.to_ndarray())
        if layout.alpha and len(frame.planes) == 4:
            # The scaler is off by one code in half of the 8-bit alphas.
            pixels[..., 3] = _spread(_plane(frame, 3), layout.bits, pixels.dtype)
        if not deep or layout.rgb:
            return pixels
        pixels[..., :3] = _from_scaler(_white_of(layout.bits, self.full_range))[pixels[..., :3]]
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
            scaled = pixels.copy()
            scaled[..., :3] = _to_scaler(self.full_range)[pixels[..., :3]]
        else:
            scaled = pixels
        source = ("rgba64le" if layout.alpha else "rgb48le") if deep else ("rgba" if layout.alpha else "rgb24")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(scaled), format=source)
        converted = self._scaler.reformat(
            frame,
            format=layout.name,
            dst_colorspace=self.matrix,
            src_color_range=FULL,
            dst_color_range=FULL if self.full_range or layout.rgb else LIMITED,
            interpolation=_ACCURATE,
            threads=_threads_for(frame),
        )
        if layout.alpha and len(converted.planes) == 4:
            _fill(converted, 3, _gather(pixels[..., 3], layout.bits))
        return converted


def outside_legal(frame: av.VideoFrame) -> float:
    """The share of luma samples of a limited-range frame that lie above white or below black; one in sixteen is seen.

    A code or two beyond is left to the codec's own ringing (ITU-R BT.709-6, item 5: 16 to 235 of 255).
    """
    layout = Layout.of(frame.format.name)
    if layout.rgb:
        return 0.0
    plane, scale = frame.planes[0], 1 << (layout.bits - 8)
    kind = np.dtype(_sample_type(frame))
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    luma = rows[::4, : plane.width : 4]
    if len(frame.planes) < 3:  # packed or half-planar pictures mix luma with chroma, or shift it
        return 0.0
    return float(((luma > 237 * scale) | (luma < 14 * scale)).mean())


def _threads_for(frame: av.VideoFrame) -> int | None:
    """One thread for small frames, where waking others takes longer than the work; else as many as there are."""
    return 1 if frame.width * frame.height < 1 << 20 else None


def _white_of(bits: int, full_range: bool) -> int:
    """Where the scaler puts white in the 16-bit RGB that it makes of YUV."""
    return ((1 << bits) - 1) << (16 - bits) if full_range else _LIMITED_WHITE


@functools.cache
def _from_scaler(white: int) -> npt.NDArray[np.uint16]:
    codes = np.arange(65536, dtype=np.float64)
    return np.minimum(np.rint(codes * (65535 / white)), 65535).astype(np.uint16)


@functools.cache
def _to_scaler(full_range: bool) -> npt.NDArray[np.uint16]:
    codes = np.arange(65536, dtype=np.float64)
    return np.rint(codes * ((_FULL_WHITE if full_range else _LIMITED_WHITE) / 65535)).astype(np.uint16)


def _planar_rgb(frame: av.VideoFrame, layout: Layout) -> Pixels:
    """Planar RGB of 9 to 16 bits without the scaler: its codes spread over 16 bits."""
    planes = [_plane(frame, index) for index in ((2, 0, 1, 3) if layout.alpha else (2, 0, 1))]
    return _spread(np.stack(planes, axis=-1), layout.bits, np.dtype(np.uint16))


def _spread(codes: Pixels, bits: int, dtype: np.dtype[Any]) -> Pixels:
    """Codes of some bits over the whole range of an integer dtype, to the nearest."""
    top, full = (1 << bits) - 1, int(np.iinfo(dtype).max)
    if top == full:
        return codes.astype(dtype)
    return ((codes.astype(np.uint32) * full + top // 2) // top).astype(dtype)


def _gather(samples: Pixels, bits: int) -> Pixels:
    """The inverse of `_spread`."""
    top, full = (1 << bits) - 1, int(np.iinfo(samples.dtype).max)
    return samples if top == full else (samples.astype(np.uint32) * top + full // 2) // full


def _sample_type(frame: av.VideoFrame) -> str:
    if frame.format.components[0].bits <= 8:
        return "u1"
    return ">u2" if frame.format.name.endswith("be") else "<u2"


def _plane(frame: av.VideoFrame, index: int) -> Pixels:
    plane = frame.planes[index]
    kind = np.dtype(_sample_type(frame))
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    samples: Pixels = rows[:, : plane.width].astype(kind.newbyteorder("="))
    return samples


def _fill(frame: av.VideoFrame, index: int, codes: Pixels) -> None:
    plane = frame.planes[index]
    kind = np.dtype(_sample_type(frame))
    rows = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
    rows[:, : codes.shape[1]] = codes
    plane.update(rows.tobytes())


def _from_planar_rgb(pixels: Pixels, layout: Layout) -> av.VideoFrame:
    codes = _gather(pixels, layout.bits)
    frame = av.VideoFrame(codes.shape[1], codes.shape[0], layout.name)
    for position, channel in enumerate((1, 2, 0, 3)[: codes.shape[2]]):
        _fill(frame, position, codes[..., channel])
    return frame


def _with_channels(pixels: Pixels, alpha: bool) -> Pixels:
    """Grey spread over RGB, and alpha added or dropped."""
    count = pixels.shape[2]
    colour = pixels[..., :1].repeat(3, axis=2) if count < 3 else pixels[..., :3]
    if not alpha:
        return colour
    opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([colour, pixels[..., -1:] if count in (2, 4) else opaque], axis=2)
