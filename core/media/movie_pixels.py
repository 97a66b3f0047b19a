"""Decoded movie pictures as RGB arrays and back, with the levels that the tags promise.

Of YUV, FFmpeg's scaler interpolates chroma, and the matrix is applied here, because the scaler clips what lies outside
[0, 1]. On the way back it does both: without accurate rounding it darkens by up to one code of 255, so that is always
asked for, and RGB of 16 bits has its white at 65283 for limited-range targets and at 65280 for those of full range,
whatever the depth (measured on FFmpeg 8; `test_movie_pixels` holds it down).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from impasto.core.errors import UnsupportedMedia
from impasto.core.excess import excess_beyond, joined
from impasto.core.frame import Excess, Pixels
from impasto.core.media.movie_levels import Coding, put_excess
from impasto.core.media.movie_planes import fill_plane, is_planar, native_codes

_ACCURATE = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_ROWS = 64
"""Rows that are converted at once, so that the numbers between stay in the processor's cache."""
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

    def __call__(self, frame: av.VideoFrame) -> tuple[Pixels, Excess | None]:
        """(H, W, 3 or 4), uint8 for sources of 8 bits, else uint16 with white at 65535; matrix and range undone.

        Colours outside the range of these samples are clipped, and come beside them as excess.
        """
        layout = Layout.of(frame.format.name)
        if layout.rgb:
            return self._rgb(frame, layout), None
        planes, shift = self._planes(frame, layout)
        dtype, depth, greatest = (np.uint16, cv2.CV_16U, 65535) if layout.bits > 8 else (np.uint8, cv2.CV_8U, 255)
        matrix = Coding(layout.bits, self.full_range, self.matrix).to_rgb(greatest)
        matrix[:, :3] /= 1 << shift
        height, width = planes[0].shape
        pixels: Pixels = np.empty((height, width, 3), dtype)
        found: list[Excess] = []
        for top in range(0, height, _ROWS):
            codes = np.asarray(cv2.merge([plane[top : top + _ROWS] for plane in planes]), np.float32)
            exact = np.asarray(cv2.transform(codes, matrix), np.float32)
            rows = pixels[top : top + _ROWS]
            cv2.add(exact, np.zeros(4), dst=rows, dtype=depth)
            excess = excess_beyond(rows, exact, 0.5 * greatest / (1 << layout.bits))
            if excess is not None:
                found.append(Excess(excess.places + top * width, excess.amount))
        if layout.alpha:
            pixels = np.concatenate([pixels, self._alpha(frame, layout, np.dtype(dtype))[..., None]], axis=2)
        return pixels, joined(found)

    def _planes(self, frame: av.VideoFrame, layout: Layout) -> tuple[list[Pixels], int]:
        """Y, Cb and Cr of every pixel as codes (H, W), and by how many bits they are shifted to the left."""
        if is_planar(layout.name) and not layout.subsampled_x and not layout.subsampled_y:
            luma = native_codes(frame, 0)
            if len(frame.planes) >= 3:
                return [luma, native_codes(frame, 1), native_codes(frame, 2)], 0
            return [luma, *[np.full_like(luma, 1 << (layout.bits - 1))] * 2], 0
        wide = self._reformatted(frame, "yuv444p16le", FULL if self.full_range else LIMITED)
        return [native_codes(wide, index) for index in range(3)], 16 - layout.bits

    def _alpha(self, frame: av.VideoFrame, layout: Layout, dtype: np.dtype[Any]) -> Pixels:
        if is_planar(layout.name):
            return _spread(native_codes(frame, len(frame.planes) - 1), layout.bits, dtype)
        wide = self._reformatted(frame, "yuva444p16le", FULL if self.full_range else LIMITED)
        return _spread(native_codes(wide, 3) >> (16 - layout.bits), layout.bits, dtype)

    def _rgb(self, frame: av.VideoFrame, layout: Layout) -> Pixels:
        deep = layout.bits > 8
        if deep and layout.name.startswith("gb"):
            return _planar_rgb(frame, layout)
        target = ("rgba64le" if layout.alpha else "rgb48le") if deep else ("rgba" if layout.alpha else "rgb24")
        converted = self._reformatted(frame, target, FULL)
        pixels = np.ascontiguousarray(converted.to_ndarray())
        if layout.alpha and len(frame.planes) == 4:
            # The scaler is off by one code in half of the 8-bit alphas.
            pixels[..., 3] = _spread(native_codes(frame, 3), layout.bits, pixels.dtype)
        return pixels

    def _reformatted(self, frame: av.VideoFrame, target: str, colour_range: int) -> av.VideoFrame:
        return self._scaler.reformat(
            frame,
            format=target,
            src_colorspace=self.matrix,
            dst_colorspace=self.matrix,
            src_color_range=colour_range,
            dst_color_range=colour_range,
            interpolation=_ACCURATE,
            threads=_threads_for(frame),
        )


@dataclass
class PixelEncoder:
    """RGB(A) arrays -> frames in a codec's pixel format; the inverse of PixelDecoder. One thread owns it."""

    pixel_format: str
    full_range: bool
    matrix: int

    def __post_init__(self) -> None:
        self._layout = Layout.of(self.pixel_format)
        self._scaler = VideoReformatter()
        self.clips = False
        """Whether levels that are seen were outside of what the pixel format holds, so far."""

    def __call__(self, pixels: Pixels, excess: Excess | None = None) -> av.VideoFrame:
        """A frame of (H, W, 1, 3 or 4) uint8 or uint16; a missing alpha is opaque, one too many is dropped.

        Levels above white and below black (`excess`) go as far beyond as there are codes; RGB has none.
        """
        layout = self._layout
        pixels = np.ascontiguousarray(_with_channels(pixels, layout.alpha))
        if layout.bits <= 8 and pixels.dtype == np.uint16:
            pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        elif layout.bits > 8 and pixels.dtype == np.uint8:
            pixels = pixels.astype(np.uint16) * np.uint16(257)
        if layout.bits > 8 and layout.rgb and layout.name.startswith("gb"):
            self._note_lost(excess, pixels)
            return _from_planar_rgb(pixels, layout)
        deep = pixels.dtype == np.uint16
        if deep and not layout.rgb:
            scaled = pixels.copy()
            scaled[..., :3] = _to_scaler(self.full_range)[pixels[..., :3]]
        else:
            scaled = pixels
        source = ("rgba64le" if layout.alpha else "rgb48le") if deep else ("rgba" if layout.alpha else "rgb24")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(scaled), format=source)
        # The scaler takes grey as full range, whatever it is told.
        grey = len(av.VideoFormat(layout.name).components) == 1
        converted = self._scaler.reformat(
            frame,
            format=f"yuv444p{f'{layout.bits}le' if layout.bits > 8 else ''}" if grey else layout.name,
            dst_colorspace=self.matrix,
            src_color_range=FULL,
            dst_color_range=FULL if self.full_range or layout.rgb else LIMITED,
            interpolation=_ACCURATE,
            threads=_threads_for(frame),
        )
        if layout.alpha and len(converted.planes) == 4:
            fill_plane(converted, 3, _gather(pixels[..., 3], layout.bits))
        if grey:
            luma = native_codes(converted, 0)
            converted = av.VideoFrame(luma.shape[1], luma.shape[0], layout.name)
            fill_plane(converted, 0, luma)
        lost = excess
        if excess is not None and not layout.rgb and is_planar(layout.name):
            lost = put_excess(converted, pixels, excess, Coding(layout.bits, self.full_range, self.matrix))
        self._note_lost(lost, pixels)
        return converted

    def _note_lost(self, lost: Excess | None, pixels: Pixels) -> None:
        self.clips = self.clips or (lost is not None and lost.is_seen(pixels.shape[0] * pixels.shape[1]))


def _threads_for(frame: av.VideoFrame) -> int | None:
    """One thread for small frames, where waking others takes longer than the work; else as many as there are."""
    return 1 if frame.width * frame.height < 1 << 20 else None


@functools.cache
def _to_scaler(full_range: bool) -> npt.NDArray[np.uint16]:
    codes = np.arange(65536, dtype=np.float64)
    return np.rint(codes * ((_FULL_WHITE if full_range else _LIMITED_WHITE) / 65535)).astype(np.uint16)


def _planar_rgb(frame: av.VideoFrame, layout: Layout) -> Pixels:
    """Planar RGB of 9 to 16 bits without the scaler: its codes spread over 16 bits."""
    planes = [native_codes(frame, index) for index in ((2, 0, 1, 3) if layout.alpha else (2, 0, 1))]
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


def _from_planar_rgb(pixels: Pixels, layout: Layout) -> av.VideoFrame:
    codes = _gather(pixels, layout.bits)
    frame = av.VideoFrame(codes.shape[1], codes.shape[0], layout.name)
    for position, channel in enumerate((1, 2, 0, 3)[: codes.shape[2]]):
        fill_plane(frame, position, codes[..., channel])
    return frame


def _with_channels(pixels: Pixels, alpha: bool) -> Pixels:
    """Grey spread over RGB, and alpha added or dropped."""
    count = pixels.shape[2]
    colour = pixels[..., :1].repeat(3, axis=2) if count < 3 else pixels[..., :3]
    if not alpha:
        return colour
    opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([colour, pixels[..., -1:] if count in (2, 4) else opaque], axis=2)
