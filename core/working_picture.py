"""From a frame to the working picture that the network sees, and from the painted picture back into the frame.

Everything but the fill of holes goes strip by strip, a few rows at a time: a strip and all that is worked out of it
stay in the processor's cache, and a large frame takes little more memory than its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.core.excess import excess_of, excess_of_rows, with_excess
from impasto.core.frame import AlphaKind, Attribute, Frame, Part, Pixels, Samples, channels_of
from impasto.core.frame_settings import Output
from impasto.core.icc import IN_PROFILE
from impasto.core.icc_stages import has_tables

STRIP_PIXELS = 1 << 15
"""Of float32 RGB they are 384 KiB: a few such arrays fit into a core's cache, and hide what a call costs."""

BLOCK_ROWS = 16
"""Strips have a multiple of these rows, so that each ends with whole vectors of pixels: what is left over at the end of
an array, OpenColorIO and OpenCV round in another way."""

ONE_THREAD = 1 << 15
"""Samples that torch converts in the calling thread (at::internal::GRAIN_SIZE)."""

MOST_CHANNELS = 4
"""Of a part with more, the channels that are wanted are taken out before they are converted."""


@dataclass(frozen=True, slots=True)
class WorkingPicture:
    """A frame as the network sees it, and what `to_plate` needs to undo that.

    `picture` is (H, W, 3) float32 in working space. `is_plate` says that it is the plate's own samples. `invalid`
    (H, W) is True where a channel that the network would see is NaN or infinite, None where none is. `kept` is what
    `light` answers where that costs more to work out again than to keep.
    """

    frame: Frame
    space: colour.PlateSpace
    picture: Samples
    is_plate: bool = False
    invalid: npt.NDArray[np.bool_] | None = None
    exposure: float = 0.0
    """Stops by which the network's picture is brighter; `to_plate` undoes them, apart from the next."""
    lasting_exposure: float = 0.0
    """Stops of these by which the result is brighter too."""
    kept: Samples | None = None

    @property
    def invalid_pixels(self) -> int:
        """Pixels with a NaN or infinite channel."""
        return 0 if self.invalid is None else int(np.count_nonzero(self.invalid))

    @property
    def weight(self) -> Samples | None:
        """The coverage of the frame's alpha, (H, W), or None."""
        alpha = self.frame.alpha
        return None if alpha is None else colour.coverage(colour.to_float(alpha))

    def light_of(self, rows: slice) -> Samples:
        """Rows of the plate in scene-linear Rec.709 without its alpha, brightened by the exposure, unclamped."""
        if self.kept is not None:
            return self.kept[rows]
        return _light(_strip(self.frame, rows), self.space, self.exposure)

    def light(self) -> Samples:
        """All rows of `light_of`."""
        if self.kept is not None:
            return self.kept
        linear = np.empty_like(self.picture)
        with np.errstate(invalid="ignore", over="ignore"):
            for rows in strips_of(*linear.shape[:2]):
                linear[rows] = self.light_of(rows)
        return linear

    def shown_light(self) -> tuple[Samples, npt.NDArray[np.bool_] | None]:
        """`light` filled under the alpha and where it is invalid, as the network is shown it; and where it is.

        A fill reaches as far as the hole is wide, so it is made on the whole picture.
        """
        light, weight = self.light(), self.weight
        return colour.fill_invalid(light if weight is None else colour.fill(light, weight))


@dataclass(frozen=True, slots=True)
class _Strip:
    """A few rows of a plate: its samples as float32, (h, W, 3) or (h, W, 1), its alpha and the coverage of that.

    `alpha` and `weight` are None where nothing is transparent.
    """

    plate: Samples
    alpha: Samples | None
    weight: Samples | None
    associated: bool

    @property
    def rgb(self) -> Samples:
        """The plate's samples; a grey layer as three equal channels."""
        return np.repeat(self.plate, 3, axis=2) if self.plate.shape[2] == 1 else self.plate

    def straight(self, rgb: Samples) -> Samples:
        """Colour without its matte."""
        return rgb if self.alpha is None or not self.associated else colour.unpremultiply(rgb, self.alpha)

    def matted(self, rgb: Samples) -> Samples:
        """Colour with its matte again."""
        return rgb if self.alpha is None or not self.associated else colour.premultiply(rgb, self.alpha)


def to_working(
    frame: Frame, *, input_space: str | None = None, exposure: float = 0.0, lasting_exposure: float = 0.0
) -> WorkingPicture:
    """What the network sees of a frame: unpremultiplied, filled under alpha, in working space, in [0, 1].

    `exposure` in stops brightens the plate for the network alone; `to_plate` undoes it. `lasting_exposure` brightens
    the result as well. A grey layer becomes three equal channels. Raises UnknownName for a colour space that does not
    exist.
    """
    exposure += lasting_exposure
    space = colour.plate_space(frame, input_space)
    size = (frame.height, frame.width)
    picture = np.empty((*size, 3), np.float32)
    is_integer = not np.issubdtype(frame.part.pixels.dtype, np.floating)
    if space.is_working and is_integer and frame.layer.alpha is None and exposure == lasting_exposure == 0:
        for rows in strips_of(*size):
            picture[rows] = _strip(frame, rows).plate
        return WorkingPicture(frame, space, picture, is_plate=True)

    kept = None if space == colour.SCENE_LINEAR else np.empty_like(picture)
    is_whole = True
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in strips_of(*size):
            strip = _strip(frame, rows)
            light = _light(strip, space, exposure)
            if kept is not None:
                kept[rows] = light
            has_holes = strip.weight is not None and bool(strip.weight.min() <= 0)
            is_whole = is_whole and not has_holes and bool(np.isfinite(light).all())
            if is_whole:
                picture[rows] = colour.without_residual(light, colour.residual_of(light))
    working = WorkingPicture(frame, space, picture, exposure=exposure, lasting_exposure=lasting_exposure, kept=kept)
    if is_whole:
        return working
    shown, invalid = working.shown_light()
    for rows in strips_of(*size):
        picture[rows] = colour.without_residual(shown[rows], colour.residual_of(shown[rows]))
    return replace(working, invalid=invalid)


def _light(strip: _Strip, space: colour.PlateSpace, exposure: float) -> Samples:
    """The strip in scene-linear Rec.709 without its alpha, brightened by `exposure`."""
    light = colour.to_linear(strip.straight(strip.rgb), space)
    return light * np.float32(2.0**exposure) if exposure else light


def to_plate(
    working: WorkingPicture,
    painted: Samples,
    *,
    strength: float,
    matte: Samples | None = None,
    output: Output | None = None,
) -> Frame:
    """The frame with its colour layer painted, mixed with the plate by strength and matte in the plate's own space.

    `painted` is (H, W, 3) float32 in working space, `matte` (H, W) float32 in [0, 1]. What the network did not
    change comes back bit for bit where no exposure lasts, as do NaN, infinity and light under zero alpha.
    With `output` the colour layer's part is float and in that space; without, it is as in the plate. The excess of
    integer plates is added to the first, and goes along with the second.
    """
    frame = working.frame
    if matte is not None:
        check_matte(matte, frame.height, frame.width)
    target = working.space
    if output is not None:
        target = colour.plate_space(replace(frame, colour_space=output.space))
    part = _as_float(frame.part, output.samples) if output is not None else _copied(frame.part)
    is_mixed = strength != 1 or matte is not None
    # Plates hold NaN and infinity, and infinity minus infinity is NaN.
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in strips_of(frame.height, frame.width):
            strip = _strip(frame, rows)
            result, mask = _painted(working, painted[rows], strip, rows)
            if is_mixed or output is not None:
                result, mask = colour.restore(result, strip.plate, mask), np.ones_like(mask)
            if is_mixed:
                result = _mixed(result, strip.plate, strength, None if matte is None else matte[rows])
            if output is not None:
                result = with_excess(result, excess_of_rows(frame.excess, rows, frame.width))
            if target != working.space:
                result = _converted(result, strip, working.space, target)
            _write(_to_samples(result, part.pixels.dtype), mask, part.pixels[rows], frame.layer.colour)
    if output is not None:
        return _in_space(frame, part, target, output.space)
    parts = list(frame.parts)
    parts[frame.layer.part] = part
    return replace(frame, parts=tuple(parts))


def without_tables(frame: Frame, *, as_stored: bool) -> Frame:
    """A frame whose ICC profile has tables in Display P3 instead, since they lead no way back; every other as it is.

    With `as_stored` integers stay integers, with what lies outside their range as excess; else the part becomes float.
    """
    space = colour.plate_space(frame)
    profile = space.profile if frame.colour_space == IN_PROFILE else b""
    if not has_tables(profile):
        return frame
    target = colour.plate_space(replace(frame, colour_space=_INSTEAD_OF_TABLES))
    part = _as_float(frame.part, "float")
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in strips_of(frame.height, frame.width):
            strip = _strip(frame, rows)
            part.pixels[rows][..., list(frame.layer.colour)] = _converted(strip.plate, strip, space, target)
    shown = _in_space(frame, part, target, _INSTEAD_OF_TABLES)
    stored = frame.part.pixels.dtype
    if not as_stored or np.issubdtype(stored, np.floating):
        return shown
    pixels = colour.to_samples(part.pixels, stored)
    parts = list(shown.parts)
    parts[frame.layer.part] = replace(shown.part, pixels=pixels, formats=frame.part.formats)
    return replace(shown, parts=tuple(parts), excess=excess_of(shown.colour) if shown.colour.shape[2] == 3 else None)


def by_strips(step: Callable[[Samples, Samples], Samples], painted: Samples, picture: Samples) -> Samples:
    """A step that works pixel by pixel on two pictures (H, W, 3), written into the first."""
    for rows in strips_of(*painted.shape[:2]):
        painted[rows] = step(painted[rows], picture[rows])
    return painted


def strips_of(height: int, width: int) -> Iterator[slice]:
    """The rows of a picture in strips of about `STRIP_PIXELS`."""
    rows = max(BLOCK_ROWS, STRIP_PIXELS // width // BLOCK_ROWS * BLOCK_ROWS)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def check_matte(matte: Samples, height: int, width: int) -> None:
    """UsageError unless a matte is of the plate's size."""
    if matte.shape != (height, width):
        raise UsageError(
            f"expected a matte of the plate's size {width}x{height}, got {matte.shape[1]}x{matte.shape[0]}; "
            "render or scale the matte to the plate"
        )


def _strip(frame: Frame, rows: slice) -> _Strip:
    samples, layer = frame.part.pixels[rows], frame.layer
    if samples.dtype == np.float16 and samples.shape[2] <= MOST_CHANNELS:
        samples = _from_half(samples)
    plate = colour.to_float(channels_of(samples, layer.colour))
    if layer.alpha is None:
        return _Strip(plate, None, None, associated=False)
    alpha = colour.to_float(samples[..., layer.alpha])
    if (alpha == 1).all():
        return _Strip(plate, None, None, associated=False)
    return _Strip(plate, alpha, colour.coverage(alpha), frame.alpha_kind is AlphaKind.ASSOCIATED)


def _from_half(samples: Pixels) -> Samples:
    """Half samples as float32."""
    half = np.ascontiguousarray(samples)
    whole = np.empty(half.shape, np.float32)
    _convert(half if half.flags.writeable else half.copy(), whole)
    return whole


def _to_samples(fractions: Samples, dtype: npt.DTypeLike) -> Pixels:
    if dtype != np.float16:
        return colour.to_samples(fractions, dtype)
    half = np.empty(fractions.shape, np.float16)
    _convert(np.ascontiguousarray(fractions), half)
    return half


def _convert(source: Pixels, target: Pixels) -> None:
    """Floats as floats of another width by torch, as numpy takes ten times as long; both contiguous.

    In pieces for which torch does not wake another thread: it would do the work in less time than that takes.
    """
    pieces = (torch.from_numpy(each.reshape(-1)).split(ONE_THREAD) for each in (source, target))
    for piece, room in zip(*pieces, strict=True):
        room.copy_(piece)


def _painted(
    working: WorkingPicture, painted: Samples, strip: _Strip, rows: slice
) -> tuple[Samples, npt.NDArray[np.bool_]]:
    """Rows of the painting in the plate's own space, and where the plate's own samples stay: there it is False."""
    is_grey = strip.plate.shape[2] == 1
    if working.is_plate:
        return _grey(painted) if is_grey else painted, np.ones(painted.shape[:2], np.bool_)
    linear = working.light_of(rows)
    light = colour.add_residual(painted, colour.residual_of(linear))
    if working.lasting_exposure:
        mask = np.asarray(np.isfinite(linear).all(axis=2), np.bool_)
    else:
        mask = colour.changed(light, linear)
    if strip.weight is not None:
        mask &= strip.weight > 0
    if undone := working.exposure - working.lasting_exposure:
        light *= np.float32(2.0**-undone)
    result = strip.matted(colour.from_linear(light, working.space))
    return _grey(result) if is_grey else result, mask


def _write(samples: Pixels, mask: npt.NDArray[np.bool_], pixels: Pixels, channels: tuple[int, ...]) -> None:
    """Put samples (h, W, n) into these channels of a part's rows where the mask is True."""
    if not mask.any():
        return
    where: Any = True if mask.all() else mask
    for source, target in enumerate(channels):
        np.copyto(pixels[..., target], samples[..., source], where=where)


def _mixed(result: Samples, plate: Samples, strength: float, matte: Samples | None) -> Samples:
    amount = np.float32(strength) if matte is None else (np.clip(matte, 0, 1) * np.float32(strength))[..., None]
    difference = np.subtract(result, plate)
    difference[~np.isfinite(difference)] = 0
    return np.asarray(plate + amount * difference, np.float32)


def _grey(rgb: Samples) -> Samples:
    return np.asarray((rgb @ colour.LUMA)[..., None], np.float32)


def _converted(result: Samples, strip: _Strip, space: colour.PlateSpace, target: colour.PlateSpace) -> Samples:
    """Samples of the plate's space in another. Light under zero alpha converts as it is."""
    rgb = np.repeat(result, 3, axis=2) if result.shape[2] == 1 else result
    straight = colour.from_linear(colour.to_linear(strip.straight(rgb), space), target)
    matted = strip.matted(straight)
    if strip.weight is not None and matted is not straight:
        matted = np.where(strip.weight[..., None] > 0, matted, straight)
    return matted[..., :1] if result.shape[2] == 1 else matted


def _in_space(frame: Frame, part: Part, space: colour.PlateSpace, stated_as: str) -> Frame:
    """The frame with a part in another colour space, and attributes that state it in the place of those of the old."""
    attributes = {name: value for name, value in part.attributes.items() if name not in STATING_ATTRIBUTES}
    for name, value in colour.stated(space).items():
        attributes[name] = Attribute("string" if isinstance(value, str) else "float[8]", value)
    parts = list(frame.parts)
    parts[frame.layer.part] = replace(part, attributes=attributes)
    return replace(frame, parts=tuple(parts), colour_space=stated_as, excess=None)


_INSTEAD_OF_TABLES = "srgb_p3d65_scene"

STATING_ATTRIBUTES = (
    "chromaticities",
    "colorInteropID",
    "acesImageContainerFlag",
    "adoptedNeutral",
    "oiio:ColorSpace",
    "dpx:Transfer",
    "dpx:Colorimetric",
    "ICCProfile",
)
"""Attributes that state the colour space of a part."""


def _copied(part: Part) -> Part:
    return replace(part, pixels=np.array(part.pixels, order="C"))


def _as_float(part: Part, samples: str) -> Part:
    """A copy of a part with float pixels: half or float as asked where it held integers, its own floats otherwise.

    A part with 32-bit identifiers stays float64, the narrowest float that holds them.
    """
    if np.issubdtype(part.pixels.dtype, np.floating):
        wide = any(kind in ("uint", "uint32", "double") for kind in part.formats)
        return replace(part, pixels=part.pixels.astype(np.float64 if wide else np.float32))
    dtype = np.float16 if samples == "half" else np.float32
    pixels = colour.to_samples(colour.to_float(part.pixels), dtype)
    return replace(part, pixels=pixels, formats=("half" if samples == "half" else "float",) * len(part.channels))
