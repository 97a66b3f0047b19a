"""Frames of any source as 8-bit pictures for a screen."""

from __future__ import annotations

import re
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.core.frame import Frame, Pixels
from impasto.core.media.flatten import flatten
from impasto.core.media.orientation import orientation_of, upright
from impasto.hosts.live.pictures import Picture

LARGEST: Final = (1920, 1080)
"""What 'auto' lets pass as it is; larger sources are made smaller before anything else."""
DISPLAY_SPACES: Final = (None, "srgb", "rec709")
"""Spaces of integers that are shown as they are."""
HDR_SPACES: Final = ("pq2020", "hlg2020")
HDR_WHITE: Final = 2.03
"""Diffuse white of HDR (203 nits, ITU-R BT.2408) in the linear light that 100 nits are 1 of."""
_SIZE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")
KNEE: Final = 0.8
"""Light from here on is bent towards 1, so that the highlights of HDR keep their shapes."""


def parse_size(text: str) -> tuple[int, int]:
    """The largest width and height of what is painted: 'auto', or a size as 640x360. UsageError for anything else."""
    if text == "auto":
        return LARGEST
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"expected --size as auto or WIDTHxHEIGHT, got '{text}'; give for example 640x360")
    return int(found[1]), int(found[2])


def to_picture(frame: Frame, largest: tuple[int, int]) -> Picture:
    """The frame as a screen shows it, upright, at most `largest` (width, height; turned for a portrait).

    Alpha lies over black. Light of HDR above diffuse white is bent below 1, in its own hue; other light is clipped
    there.
    """
    flat = upright(flatten(frame, "none"), orientation_of(frame.part))
    if frame.part.pixel_aspect != 1.0:
        flat = _squared(flat, frame.part.pixel_aspect)
    small = fitted(flat, largest)
    if small.shape[2] == 1:
        small = np.repeat(small, 3, axis=2)
    if frame.colour_space in DISPLAY_SPACES and small.dtype.kind == "u":
        return np.ascontiguousarray(small if small.dtype == np.uint8 else _to_8_bits(small))
    space = colour.plate_space(frame)
    linear = colour.to_linear(colour.to_float(small), space)
    if frame.colour_space in HDR_SPACES:
        linear = _bent(linear / np.float32(HDR_WHITE))
    shown = np.nan_to_num(colour.encode(linear), nan=0.0, posinf=1.0, neginf=0.0)
    return (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)


def fitted(pixels: Pixels, largest: tuple[int, int]) -> Pixels:
    """A picture (H, W, C) that fits into width and height, in either orientation; the same one where it does."""
    height, width = pixels.shape[:2]
    most = largest if width >= height else largest[::-1]
    scale = min(1.0, most[0] / width, most[1] / height)
    return pixels if scale == 1.0 else scaled(pixels, scale)


def scaled(pixels: Pixels, scale: float) -> Pixels:
    """A picture (H, W, C) made smaller by area; at least one pixel stays."""
    height, width = pixels.shape[:2]
    return resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture (H, W, C) in another size (width, height): by area where smaller, linearly where larger."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    smaller = size[0] * size[1] < width * height
    made = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return made if made.ndim == 3 else made[:, :, None]


def letterboxed(pixels: Picture, shape: tuple[int, int], size: tuple[int, int]) -> Picture:
    """A picture of this shape in the middle of a black one of this size, as large as it fits; both (width, height).

    The shape is that of the plate, of which a small painting has only nearly the proportions.
    """
    width, height = shape
    scale = min(size[0] / width, size[1] / height)
    inner = (min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale))))
    if max(size[0] - inner[0], size[1] - inner[1]) <= 1:
        inner = size  # the shape of an odd plate in an even size
    small = resized(pixels, inner)
    if inner == size:
        return small
    made = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    made[top : top + inner[1], left : left + inner[0]] = small
    return made


def _squared(pixels: Pixels, aspect: float) -> Pixels:
    """Square pixels in the place of wide ones."""
    height, width = pixels.shape[:2]
    return resized(pixels, (max(1, round(width * aspect)), height))


def _to_8_bits(samples: Pixels) -> Picture:
    rounded: Picture = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return rounded


def _bent(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Light above the knee towards 1, by the brightest channel, so that hue stays."""
    peak = np.maximum(linear.max(axis=2, keepdims=True), np.float32(1e-6))
    over = np.maximum(peak - KNEE, 0)
    bent = np.minimum(peak, KNEE) + (1 - KNEE) * over / (over + (1 - KNEE))  # as steep as a line where it begins
    result: npt.NDArray[np.float32] = (linear * (bent / peak)).astype(np.float32)
    return result
