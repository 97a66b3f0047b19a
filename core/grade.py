"""What happens to a plate before the network and to the painting after it; each step off unless asked for.

Tone and noise are worked on in the working picture, (H, W, 3) float32, sRGB-encoded Rec.709, not
clamped (`impasto.core.colour.encode` of scene-linear light). Size is changed on a whole frame.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.core.frame import AlphaKind, Frame, Part, Pixels, Samples, Window
from impasto.core.params import Parameter

_DENOISE = Parameter(
    "denoise", 0.0, 1.0, 0.0, "Smooths grain and noise and keeps edges: 0.3 for a clean camera, 1 for heavy grain."
)
_SHARPEN = Parameter("sharpen", 0.0, 3.0, 0.0, "Sharpens the edges of the strokes: 0.5 is gentle, 2 is strong.")
_LEVELS = (
    Parameter("black", -1.0, 1.0, 0.0, "The tone that becomes black: higher darkens the shadows."),
    Parameter("white", 0.0, 2.0, 1.0, "The tone that becomes white: lower brightens the lights."),
    Parameter("gamma", 0.1, 10.0, 1.0, "Middle tones: above 1 brightens, below 1 darkens; black and white stay."),
    Parameter("saturation", 0.0, 4.0, 1.0, "Strength of colours: 0 is grey, 1 leaves them, 2 doubles them."),
)
BEFORE_CONTROLS: tuple[Parameter, ...] = (_DENOISE, *_LEVELS)
AFTER_CONTROLS: tuple[Parameter, ...] = (_DENOISE, _SHARPEN, *_LEVELS)

LARGEST_SIDE = 32768
"""The longest side of a frame, in pixels, that a resize makes."""

_SIZE = re.compile(r"(?P<percent>\d+(\.\d+)?)%|(?P<width>\d*)x(?P<height>\d*)", re.ASCII | re.IGNORECASE)

DENOISE_RADIUS = 3
SHARPEN_SIGMA = 1.0
SHARPEN_RADIUS = 3


@dataclass(frozen=True, slots=True)
class Resize:
    """A new size of the display window: a scale, or width and height, of which one may follow the other.

    Build it by `parse`. A side that is None keeps the shape of the picture.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    @classmethod
    def parse(cls, text: str) -> Resize:
        """'50%', '1280x720', '1280x' or 'x720' as a size; UsageError for anything else."""
        written = _SIZE.fullmatch(text.strip())
        if written and written["percent"] and float(written["percent"]) > 0:
            return cls(scale=float(written["percent"]) / 100)
        if written and (written["width"] or written["height"]):
            width, height = (int(side) if side else None for side in written.group("width", "height"))
            if all(side is None or 1 <= side <= LARGEST_SIDE for side in (width, height)):
                return cls(width=width, height=height)
        raise UsageError(
            f"expected a size as 50%, 1280x720, 1280x or x720, with sides up to {LARGEST_SIDE}, got '{text}'"
        )

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what becomes of a picture of this size; UsageError above `LARGEST_SIDE`."""
        if self.scale is not None:
            size = round(width * self.scale), round(height * self.scale)
        elif self.width is None:
            assert self.height is not None
            size = round(width * self.height / height), self.height
        else:
            size = self.width, self.height or round(height * self.width / width)
        if max(size) > LARGEST_SIDE:
            raise UsageError(
                f"expected sides of at most {LARGEST_SIDE} after the resize of {width}x{height}, "
                f"got {size[0]}x{size[1]}; choose a smaller size"
            )
        return max(size[0], 1), max(size[1], 1)


@dataclass(frozen=True, slots=True)
class Before:
    """What is done to the plate before the network sees it; the defaults do nothing.

    The order is resize, denoise, levels, saturation. A value outside its range raises UsageError.
    """

    denoise: float = 0.0
    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    resize: Resize | None = None

    def __post_init__(self) -> None:
        _check(self, BEFORE_CONTROLS)

    @property
    def is_off(self) -> bool:
        """Whether the picture stays as it is; the size is not asked."""
        return all(getattr(self, control.name) == control.default for control in BEFORE_CONTROLS)


@dataclass(frozen=True, slots=True)
class After:
    """What is done to the painting after the network; the defaults do nothing.

    The order is denoise, sharpen, levels, saturation, resize. A value outside its range raises UsageError.
    """

    denoise: float = 0.0
    sharpen: float = 0.0
    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    resize: Resize | None = None

    def __post_init__(self) -> None:
        _check(self, AFTER_CONTROLS)

    @property
    def is_off(self) -> bool:
        """Whether the picture stays as it is; the size is not asked."""
        return all(getattr(self, control.name) == control.default for control in AFTER_CONTROLS)


def _check(settings: Before | After, controls: tuple[Parameter, ...]) -> None:
    assert {field.name for field in fields(settings)} == {control.name for control in controls} | {"resize"}
    for control in controls:
        value = getattr(settings, control.name)
        if not math.isfinite(value) or not control.minimum <= value <= control.maximum:
            raise UsageError(
                f"expected {control.name} between {control.minimum:g} and {control.maximum:g}, got {value!r}"
            )
    if settings.white - settings.black < 1e-3:
        raise UsageError(
            f"expected white above black, got black {settings.black:g} and white {settings.white:g}; "
            "raise white or lower black"
        )


def grade_before(picture: Samples, settings: Before) -> Samples:
    """The plate as the network is to see it: a new working picture, or the argument where all is off.

    Nothing is clamped. A pixel with a NaN or infinite channel comes out as it was and touches no other.
    """
    if settings.is_off:
        return picture

    def steps(clean: Samples) -> Samples:
        return saturate(
            levels(denoise(clean, settings.denoise), settings.black, settings.white, settings.gamma),
            settings.saturation,
        )

    return _around_invalid(picture, steps)


def grade_after(picture: Samples, settings: After) -> Samples:
    """The painting as it is to be delivered: a new working picture, with the promises of `grade_before`."""
    if settings.is_off:
        return picture

    def steps(clean: Samples) -> Samples:
        crisp = sharpen(denoise(clean, settings.denoise), settings.sharpen)
        return saturate(levels(crisp, settings.black, settings.white, settings.gamma), settings.saturation)

    return _around_invalid(picture, steps)


def denoise(picture: Samples, amount: float) -> Samples:
    """Smooth what varies little and keep what varies much, by `amount` from 0 to 1; 0 returns the argument.

    The guided filter with the picture as its own guide (He, Sun and Tang, Guided Image Filtering, PAMI
    2013, equations 5, 6 and 8), per channel, window radius `DENOISE_RADIUS`, epsilon (amount / 10)². A
    result depends on twice that radius. The mean of a constant area is kept; the picture must be finite.
    """
    if amount == 0:
        return picture
    mean = _box(picture)
    variance = _box(picture * picture)
    variance -= mean * mean
    np.maximum(variance, np.float32(0), out=variance)
    kept = np.divide(variance, variance + np.float32((amount / 10) ** 2), dtype=np.float32)
    result = _box(kept)
    result *= picture
    result += _box(mean - kept * mean)
    return result


def sharpen(picture: Samples, amount: float) -> Samples:
    """Unsharp mask: the picture plus `amount` times its detail; 0 returns the argument.

    Detail is the picture minus its Gaussian of `SHARPEN_SIGMA` pixels, cut off at `SHARPEN_RADIUS`. Edges
    overshoot, also below 0 and above 1; nothing is clamped. The picture must be finite.
    """
    if amount == 0:
        return picture
    size = 2 * SHARPEN_RADIUS + 1
    blurred = cv2.GaussianBlur(picture, (size, size), SHARPEN_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, blurred, -amount, 0), np.float32)


def levels(picture: Samples, black: float, white: float, gamma: float) -> Samples:
    """((x - black) / (white - black)) ** (1 / gamma), per channel; the defaults 0, 1, 1 return the argument.

    Unclamped: above white the curve goes on; below black it is mirrored at 0, so that values keep their
    order and none is lost.
    """
    if (black, white, gamma) == (0, 1, 1):
        return picture
    scaled = picture - np.float32(black)
    scaled *= np.float32(1 / (white - black))
    if gamma == 1:
        return scaled
    size: Samples = np.power(np.abs(scaled), np.float32(1 / gamma), dtype=np.float32)
    np.copysign(size, scaled, out=size)
    return size


def saturate(picture: Samples, amount: float) -> Samples:
    """Chroma times `amount`, luma (BT.709) kept; 1 returns the argument. Unclamped."""
    if amount == 1:
        return picture
    matrix = amount * np.eye(3) + (1 - amount) * np.tile(colour.LUMA.astype(np.float64), (3, 1))
    return np.asarray(cv2.transform(picture, matrix.astype(np.float32)), np.float32)


def resize_frame(frame: Frame, target: Resize, override: str | None = None) -> Frame:
    """The whole frame in another size; the same frame where the size stays.

    The display window of the colour layer's part gets the size asked for; every other window is scaled
    by the same factors and snapped to whole pixels. Colour and its alpha are filtered in linear light,
    premultiplied: by area where smaller, by a cubic where larger, held within the values around it, so
    that no ringing appears. All other channels and parts take the nearest sample, because depths and IDs
    must not blend. NaN and infinite colour is filled from its neighbours. Pixel aspect and attributes stay.
    `override` names the plate's space, as in `impasto.core.colour.plate_space`.
    """
    display = frame.part.display_window
    width, height = target.size_for(display.width, display.height)
    if (width, height) == (display.width, display.height):
        return frame
    across, down = width / display.width, height / display.height
    parts = [_nearest_part(part, across, down) for part in frame.parts]

    part = parts[frame.layer.part]
    pixels = part.pixels.copy()
    size = part.data_window.width, part.data_window.height
    filtered, alpha = _filtered_colour(frame, size, colour.plate_space(frame, override))
    pixels[..., list(frame.layer.colour)] = colour.to_samples(filtered, pixels.dtype)
    if frame.layer.alpha is not None and alpha is not None:
        pixels[..., frame.layer.alpha] = colour.to_samples(alpha, pixels.dtype)
    parts[frame.layer.part] = replace(part, pixels=pixels)
    return replace(frame, parts=tuple(parts))


def _filtered_colour(frame: Frame, size: tuple[int, int], space: colour.PlateSpace) -> tuple[Samples, Samples | None]:
    """Colour and alpha of a frame, resized, in the plate's own space and kind of alpha."""
    plate = colour.to_float(frame.colour)
    alpha = None if frame.alpha is None else colour.to_float(frame.alpha)
    associated = alpha is not None and frame.alpha_kind is AlphaKind.ASSOCIATED
    if alpha is not None:
        alpha = np.nan_to_num(alpha, nan=0.0, posinf=1.0, neginf=0.0)
    if alpha is not None and associated:
        plate = colour.unpremultiply(plate, alpha)

    grey = plate.shape[2] == 1
    linear = colour.to_linear(np.repeat(plate, 3, axis=2) if grey else plate, space)
    linear, _ = colour.fill_invalid(linear)
    if alpha is None:
        return _back(_filter(linear, size), space, grey), None

    # Light without a matte (alpha 0) is weighted by 1, as premultiplied colour already is.
    weight = np.where(colour.coverage(alpha) > 0, alpha, np.float32(1 if associated else 0))[..., None]
    light = _filter(linear * weight, size)
    small_alpha = _filter(alpha[..., None], size).reshape(light.shape[:2])
    if associated:
        straight = colour.unpremultiply(light, small_alpha)
        painted = _back(straight, space, grey)
        covered = colour.coverage(small_alpha)[..., None] > 0
        return np.where(covered, colour.premultiply(painted, small_alpha), painted), small_alpha
    straight = colour.unpremultiply(light, small_alpha)
    # Under a straight matte of 0 there may be colour all the same: it has no weight, but it has a place.
    hidden = colour.coverage(small_alpha)[..., None] == 0
    return _back(np.where(hidden, _filter(linear, size), straight), space, grey), small_alpha


def _back(linear: Samples, space: colour.PlateSpace, grey: bool) -> Samples:
    plate = colour.from_linear(linear, space)
    return plate[..., :1] if grey else plate


def _filter(pixels: Samples, size: tuple[int, int]) -> Samples:
    """(H, W, C) float32 to (width, height): area where smaller, a cubic without overshoot where larger."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2]
    if size[0] <= width and size[1] <= height:
        smaller = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return np.asarray(smaller, np.float32).reshape(size[1], size[0], channels)
    larger = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC).reshape(size[1], size[0], channels)
    around = np.ones((5, 5), np.uint8)
    lowest = cv2.erode(pixels, around).reshape(pixels.shape)
    highest = cv2.dilate(pixels, around).reshape(pixels.shape)
    return np.clip(larger, _nearest(lowest, size), _nearest(highest, size))


def _nearest_part(part: Part, across: float, down: float) -> Part:
    data = _scaled(part.data_window, across, down)
    display = _scaled(part.display_window, across, down)
    pixels = _nearest(part.pixels, (data.width, data.height))
    return replace(part, pixels=pixels, data_window=data, display_window=display)


def _nearest(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    rows = ((np.arange(size[1]) + 0.5) * (pixels.shape[0] / size[1])).astype(np.intp)
    columns = ((np.arange(size[0]) + 0.5) * (pixels.shape[1] / size[0])).astype(np.intp)
    nearest: Pixels = pixels[rows[:, None], columns[None, :]]
    return nearest


def _scaled(window: Window, across: float, down: float) -> Window:
    left, right = round(window.x * across), round((window.x + window.width) * across)
    top, bottom = round(window.y * down), round((window.y + window.height) * down)
    return Window(left, top, max(right - left, 1), max(bottom - top, 1))


def _box(picture: Samples) -> npt.NDArray[np.float32]:
    size = 2 * DENOISE_RADIUS + 1
    return np.asarray(cv2.boxFilter(picture, cv2.CV_32F, (size, size), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _around_invalid(picture: Samples, steps: Callable[[Samples], Samples]) -> Samples:
    """Run `steps` on a finite picture and put the pixels that were not finite back as they were."""
    clean, invalid = colour.fill_invalid(picture)
    result = steps(clean)
    if invalid is not None:
        result[invalid] = picture[invalid]
    return result
