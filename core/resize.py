"""Resizing of a frame, in register with its display window, for any data window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core import colour
from impasto.core.excess import excess_of, with_excess
from impasto.core.frame import AlphaKind, Frame, Part, Pixels, Samples, Window
from impasto.core.grade_settings import Resize

BAND_PIXELS = 4 << 20
"""Of a picture that is worked on at once: some tenths of a second, after which a cancelled shot is noticed."""


def resize_frame(
    frame: Frame, target: Resize, override: str | None = None, *, cancelled: Callable[[], None] = lambda: None
) -> Frame:
    """The whole frame in another size; the same frame where the size stays.

    The display window of the colour layer's part gets the size asked for, those of other parts are scaled
    by the same factors. Pictures stay in register with their display window: a data window grows outwards
    to whole output pixels and its samples are taken where they lie. A pixel at its edge that it covers in
    part is as opaque as it is covered; without alpha it holds the mean of what is covered.

    Colour and its alpha are filtered in linear light, premultiplied: by area where smaller, by a cubic
    where larger, held within the values around it, so that no ringing appears. All other channels and
    parts take the nearest sample, because depths and IDs must not blend. Pixel aspect and attributes stay.

    NaN and infinite colour blends into no other pixel; a NaN alpha counts as 0 there, an infinite one as 1.
    An output pixel whose nearest pixel is such a one is its copy. One that is nearest to no output pixel
    (possible only when the frame becomes smaller) is dropped, and its colour is filled from its neighbours.
    `override` names the plate's space, as in `impasto.core.colour.plate_space`. `cancelled` is called before each
    step and may raise.
    """
    display = frame.part.display_window
    width, height = target.size_for(display.width, display.height)
    if (width, height) == (display.width, display.height):
        return frame
    axes = [_axes_of(part, (display.width, width), (display.height, height)) for part in frame.parts]
    parts = []
    for each, (columns, rows) in zip(frame.parts, axes, strict=True):
        parts.append(_nearest_part(each, columns, rows, cancelled))

    part = parts[frame.layer.part]
    pixels = part.pixels.copy()
    columns, rows = axes[frame.layer.part]
    filtered, alpha = _filtered_colour(frame, columns, rows, colour.plate_space(frame, override), cancelled)
    chosen = [*frame.layer.colour]
    if alpha is not None and frame.layer.alpha is not None:
        chosen.append(frame.layer.alpha)
    for band in _bands(pixels, cancelled):
        pixels[band][..., [*frame.layer.colour]] = colour.to_samples(filtered[band], pixels.dtype)
        if alpha is not None and frame.layer.alpha is not None:
            pixels[band][..., frame.layer.alpha] = colour.to_samples(alpha[band], pixels.dtype)
        if pixels.dtype.kind == "f":
            nearest = part.pixels[band][..., chosen]
            valid = np.isfinite(nearest).all(axis=2, keepdims=True)
            pixels[band][..., chosen] = np.where(valid, pixels[band][..., chosen], nearest)
    parts[frame.layer.part] = replace(part, pixels=pixels)
    excess = None if frame.excess is None else excess_of(filtered)
    return replace(frame, parts=tuple(parts), excess=excess)


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a data window that changes size.

    `first` and `size` are its place and length in output pixels, counted from the display window. Output
    pixel k of it covers the source from `offset + k * step` to one `step` further, in pixels of the `count`
    that the data window has.
    """

    count: int
    first: int
    size: int
    offset: float
    step: float
    is_whole: bool
    """Whether the data window begins and ends at the edge of an output pixel."""

    @classmethod
    def outwards(cls, start: int, count: int, old: int, new: int) -> _Axis:
        """The axis of a window from `start` in a display window whose side goes from `old` to `new` pixels."""
        end = start + count
        first, last = start * new // old, -(-end * new // old)
        whole = (first * old, last * old) == (start * new, end * new)
        return cls(count, first, last - first, (first * old - start * new) / new, old / new, whole)

    @classmethod
    def unchanged(cls, count: int) -> _Axis:
        return cls.outwards(0, count, count, count)

    def edges(self) -> npt.NDArray[np.float64]:
        """Where output pixels begin and the last one ends, held within the source."""
        edges = np.arange(self.size + 1, dtype=np.float64) * self.step + self.offset
        return np.clip(edges, 0, self.count, out=edges)

    def centres(self) -> npt.NDArray[np.float64]:
        """Where the centres of output pixels lie in the source, or beyond it at its ends."""
        return np.asarray((np.arange(self.size) + 0.5) * self.step + self.offset, np.float64)

    def nearest(self) -> npt.NDArray[np.intp]:
        """The source pixel under the centre of each output pixel."""
        return np.clip(np.floor(self.centres()), 0, self.count - 1).astype(np.intp)

    def covered(self) -> Samples:
        """How much of each output pixel has source under it: 1 but for the first and the last."""
        return (np.diff(self.edges()) / self.step).astype(np.float32)


def _axes_of(part: Part, across: tuple[int, int], down: tuple[int, int]) -> tuple[_Axis, _Axis]:
    """The axes, x and y, of a part in a frame whose display window goes from old to new width and height."""
    data, display = part.data_window, part.display_window
    width, height = max(_scaled(display.width, *across), 1), max(_scaled(display.height, *down), 1)
    return (
        _Axis.outwards(data.x - display.x, data.width, display.width, width),
        _Axis.outwards(data.y - display.y, data.height, display.height, height),
    )


def _filtered_colour(
    frame: Frame, columns: _Axis, rows: _Axis, space: colour.PlateSpace, cancelled: Callable[[], None]
) -> tuple[Samples, Samples | None]:
    """Colour and alpha of a frame, resized, in the plate's own space and kind of alpha."""
    plate = with_excess(colour.to_float(frame.colour), frame.excess)
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
        return _back(_filter(linear, columns, rows, cancelled), space, grey, cancelled), None

    # Light without a matte (alpha 0) is weighted by 1, as premultiplied colour already is.
    weight = np.where(colour.coverage(alpha) > 0, alpha, np.float32(1 if associated else 0))[..., None]
    covered = rows.covered()[:, None] * columns.covered()
    light = _filter(linear * weight, columns, rows, cancelled) * covered[..., None]
    small_alpha = _filter(alpha[..., None], columns, rows, cancelled)[..., 0] * covered
    if associated:
        straight = colour.unpremultiply(light, small_alpha)
        painted = _back(straight, space, grey, cancelled)
        matted = colour.coverage(small_alpha)[..., None] > 0
        return np.where(matted, colour.premultiply(painted, small_alpha), painted), small_alpha
    straight = colour.unpremultiply(light, small_alpha)
    # Colour under a straight matte of 0 has no weight, but it is kept.
    hidden = colour.coverage(small_alpha)[..., None] == 0
    light = np.where(hidden, _filter(linear, columns, rows, cancelled), straight)
    return _back(light, space, grey, cancelled), small_alpha


def _back(linear: Samples, space: colour.PlateSpace, grey: bool, cancelled: Callable[[], None]) -> Samples:
    """Scene-linear colour in the plate's space."""
    plate = np.empty((*linear.shape[:2], 1 if grey else 3), np.float32)
    for band in _bands(plate, cancelled):
        plate[band] = colour.from_linear(linear[band], space)[..., : plate.shape[2]]
    return plate


def _bands(pixels: Pixels, cancelled: Callable[[], None]) -> Iterator[slice]:
    """Rows of a picture, a few million pixels at a time, with `cancelled` called before each."""
    height, width = pixels.shape[:2]
    count = max(1, BAND_PIXELS // max(1, width))
    for first in range(0, height, count):
        cancelled()
        yield slice(first, first + count)


def _filter(pixels: Samples, columns: _Axis, rows: _Axis, cancelled: Callable[[], None]) -> Samples:
    """(H, W, C) float32 along both axes: area where smaller, a cubic without overshoot where larger.

    Beyond its edges the picture repeats the values of its edges.
    """
    cancelled()
    if rows.step > 1 > columns.step:
        low = _filter(pixels, _Axis.unchanged(columns.count), rows, cancelled)
        return _filter(low, columns, _Axis.unchanged(rows.size), cancelled)
    if columns.step > 1 > rows.step:
        narrow = _filter(pixels, columns, _Axis.unchanged(rows.count), cancelled)
        return _filter(narrow, _Axis.unchanged(columns.size), rows, cancelled)
    smaller = columns.step >= 1 and rows.step >= 1
    if columns.is_whole and rows.is_whole:
        # OpenCV has no offset; where none is needed it does the same in a fraction of the time.
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        resized = cv2.resize(pixels, (columns.size, rows.size), interpolation=interpolation)
        result = np.asarray(resized, np.float32).reshape(rows.size, columns.size, pixels.shape[2])
    else:
        result = _along(_along(pixels, rows, 0, cancelled), columns, 1, cancelled)
    if smaller:
        return result
    cancelled()
    around = np.ones((5, 5), np.uint8)
    lowest = cv2.erode(pixels, around).reshape(pixels.shape)
    highest = cv2.dilate(pixels, around).reshape(pixels.shape)
    across, down = columns.nearest()[None, :], rows.nearest()[:, None]
    for band in _bands(result, cancelled):
        np.clip(result[band], lowest[down[band], across], highest[down[band], across], out=result[band])
    return result


def _along(pixels: Samples, axis: _Axis, dimension: int, cancelled: Callable[[], None]) -> Samples:
    """Every output pixel along one dimension as a weighted sum of source pixels."""
    source, weights = _area_weights(axis) if axis.step >= 1 else _cubic_weights(axis)
    shape = [1, 1, 1]
    shape[dimension] = axis.size
    result = np.take(pixels, source[:, 0], axis=dimension) * weights[:, 0].reshape(shape)
    taken = np.empty_like(result)
    for tap in range(1, source.shape[1]):
        cancelled()
        np.take(pixels, source[:, tap], axis=dimension, out=taken, mode="clip")
        taken *= weights[:, tap].reshape(shape)
        result += taken
    return result


def _area_weights(axis: _Axis) -> tuple[npt.NDArray[np.intp], Samples]:
    """Source pixels of each output pixel, (size, taps), and the share of it that each of them covers."""
    begin, end = axis.edges()[:-1, None], axis.edges()[1:, None]
    source = np.floor(begin) + np.arange(math.ceil(axis.step) + 1)
    weights = np.maximum(np.minimum(source + 1, end) - np.maximum(source, begin), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.minimum(source, axis.count - 1).astype(np.intp), weights.astype(np.float32)


def _cubic_weights(axis: _Axis) -> tuple[npt.NDArray[np.intp], Samples]:
    """The four source pixels around each output pixel's centre and their weights.

    Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, with a = -0.75 as OpenCV has it.
    """
    centre = (axis.centres() - 0.5)[:, None]
    source = np.floor(centre) + np.arange(-1, 3)
    far = np.abs(centre - source)
    inner = (1.25 * far - 2.25) * far * far + 1
    outer = -0.75 * (((far - 5) * far + 8) * far - 4)
    weights = np.where(far <= 1, inner, outer)
    return np.clip(source, 0, axis.count - 1).astype(np.intp), weights.astype(np.float32)


def _nearest_part(part: Part, columns: _Axis, rows: _Axis, cancelled: Callable[[], None]) -> Part:
    """The part by nearest samples, with its new windows."""
    old = part.display_window
    # The steps are ratios of whole sides, so both are whole again.
    width, height = round(old.width / columns.step), round(old.height / rows.step)
    x, y = _scaled(old.x, old.width, width), _scaled(old.y, old.height, height)
    data = Window(x + columns.first, y + rows.first, columns.size, rows.size)
    across, down = columns.nearest()[None, :], rows.nearest()[:, None]
    pixels = np.empty((rows.size, columns.size, part.pixels.shape[2]), part.pixels.dtype)
    for band in _bands(pixels, cancelled):
        pixels[band] = part.pixels[down[band], across]
    return replace(part, pixels=pixels, data_window=data, display_window=Window(x, y, width, height))


def _scaled(value: int, old: int, new: int) -> int:
    """A place or length of a side `old` in one of `new` pixels, to the nearest whole pixel, halves always up."""
    return (2 * value * new + old) // (2 * old)
