"""From a frame to the working picture that the network sees, and from the painted picture back into the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.core.excess import excess_of, with_excess
from impasto.core.frame import AlphaKind, Attribute, Frame, Part, Samples
from impasto.core.icc import IN_PROFILE
from impasto.core.icc_stages import has_tables


@dataclass(frozen=True, slots=True)
class Output:
    """The colour space and the samples of a result that differs from its plate.

    `space` is a colour space by name; `samples` the stored type, 'half' or 'float' (integers are
    made by the writers, which round and clip).
    """

    space: str
    samples: str = "float"


@dataclass(frozen=True, slots=True)
class WorkingPicture:
    """A frame as the network sees it, and what `to_plate` needs to undo that.

    `picture` is (H, W, 3) float32 in working space. `linear` is the plate in scene-linear
    Rec.709 without its alpha, and `residual` what was taken off it; both are None where the samples of
    the plate are the working picture already. `weight` is the coverage of alpha, or None.
    """

    frame: Frame
    space: colour.PlateSpace
    plate: Samples
    picture: Samples
    linear: Samples | None
    residual: colour.Residual | None
    alpha: Samples | None
    weight: Samples | None
    exposure: float

    @property
    def invalid_pixels(self) -> int:
        """Pixels with a NaN or infinite channel."""
        return 0 if self.residual is None else self.residual.invalid_count


def to_working(frame: Frame, *, input_space: str | None = None, exposure: float = 0.0) -> WorkingPicture:
    """What the network sees of a frame: unpremultiplied, filled under alpha, in working space, in [0, 1].

    `exposure` in stops brightens the plate for the network alone; `to_plate` undoes it. A grey layer
    becomes three equal channels. Raises UnknownName for a colour space that does not exist.
    """
    space = colour.plate_space(frame, input_space)
    plate = colour.to_float(frame.colour)
    straight = np.repeat(plate, 3, axis=2) if plate.shape[2] == 1 else plate
    alpha = None if frame.alpha is None else colour.to_float(frame.alpha)
    weight = None if alpha is None else colour.coverage(alpha)
    is_integer = not np.issubdtype(frame.part.pixels.dtype, np.floating)
    if space.is_working and is_integer and weight is None and exposure == 0:
        return WorkingPicture(frame, space, plate, straight, None, None, None, None, 0.0)
    if alpha is not None and frame.alpha_kind is AlphaKind.ASSOCIATED:
        straight = colour.unpremultiply(straight, alpha)
    linear = colour.to_linear(straight, space)
    if exposure:
        linear = linear * np.float32(2.0**exposure)
    shown = linear if weight is None else colour.fill(linear, weight)
    picture, residual = colour.split_residual(shown)
    return WorkingPicture(frame, space, plate, picture, linear, residual, alpha, weight, exposure)


def to_plate(
    working: WorkingPicture,
    painted: Samples,
    *,
    strength: float,
    matte: Samples | None = None,
    output: Output | None = None,
) -> Frame:
    """The frame with its colour layer painted, mixed with the plate by strength and matte in the plate's own space.

    `painted` is (H, W, 3) float32 in working space, `matte` (H, W) float32 in [0, 1]. What the
    network did not change comes back bit for bit, as do NaN, infinity and light under zero alpha.
    With `output` the colour layer's part is float and in that space; without, it is as in the plate. The excess of
    integer plates is added to the first, and goes along with the second.
    """
    if working.residual is None or working.linear is None:
        result = painted
        if working.plate.shape[2] == 1:
            result = _grey(result)
    else:
        light = colour.add_residual(painted, working.residual)
        mask = colour.changed(light, working.linear)
        if working.weight is not None:
            mask &= working.weight > 0
        if working.exposure:
            light *= np.float32(2.0**-working.exposure)
        result = colour.from_linear(light, working.space)
        if working.alpha is not None and working.frame.alpha_kind is AlphaKind.ASSOCIATED:
            result = colour.premultiply(result, working.alpha)
        if working.plate.shape[2] == 1:
            result = _grey(result)
        result = colour.restore(result, working.plate, mask)
    result = _mixed(result, working.plate, strength, matte)
    if output is None:
        return working.frame.with_colour(colour.to_samples(result, working.frame.part.pixels.dtype))
    return _converted(working, with_excess(result, working.frame.excess), output)


def without_tables(frame: Frame, *, as_stored: bool) -> Frame:
    """A frame whose ICC profile has tables in Display P3 instead, since they lead no way back; every other as it is.

    With `as_stored` integers stay integers, with what lies outside their range as excess; else the part becomes float.
    """
    profile = colour.plate_space(frame).profile if frame.colour_space == IN_PROFILE else b""
    if not has_tables(profile):
        return frame
    working = to_working(frame)
    shown = _converted(working, working.plate, Output(_INSTEAD_OF_TABLES))
    stored = frame.part.pixels.dtype
    if not as_stored or np.issubdtype(stored, np.floating):
        return shown
    parts = list(shown.parts)
    pixels = colour.to_samples(shown.part.pixels, stored)
    parts[frame.layer.part] = replace(shown.part, pixels=pixels, formats=frame.part.formats)
    return replace(shown, parts=tuple(parts), excess=excess_of(shown.colour) if shown.colour.shape[2] == 3 else None)


def check_matte(matte: Samples, height: int, width: int) -> None:
    """UsageError unless a matte is of the plate's size."""
    if matte.shape != (height, width):
        raise UsageError(
            f"expected a matte of the plate's size {width}x{height}, got {matte.shape[1]}x{matte.shape[0]}; "
            "render or scale the matte to the plate"
        )


def _mixed(result: Samples, plate: Samples, strength: float, matte: Samples | None) -> Samples:
    if matte is None and strength == 1:
        return result
    if matte is not None:
        check_matte(matte, *plate.shape[:2])
    amount = np.float32(strength) if matte is None else (np.clip(matte, 0, 1) * np.float32(strength))[..., None]
    # Plates hold infinity, and infinity minus infinity is NaN: there the result is the plate itself.
    with np.errstate(invalid="ignore"):
        difference = np.subtract(result, plate)
    difference[~np.isfinite(difference)] = 0
    return np.asarray(plate + amount * difference, np.float32)


def _grey(rgb: Samples) -> Samples:
    return np.asarray((rgb @ colour.LUMA)[..., None], np.float32)


def _converted(working: WorkingPicture, result: Samples, output: Output) -> Frame:
    """The frame with its colour layer, still in the plate's space, converted to another; all of its part as float.

    Light under zero alpha converts as it is. Attributes that state the old space give way to those of the new one.
    """
    frame = working.frame
    target = colour.plate_space(replace(frame, colour_space=output.space))
    if target != working.space:
        straight = np.repeat(result, 3, axis=2) if result.shape[2] == 1 else result
        associated = working.alpha is not None and frame.alpha_kind is AlphaKind.ASSOCIATED
        if associated and working.alpha is not None:
            straight = colour.unpremultiply(straight, working.alpha)
        straight = colour.from_linear(colour.to_linear(straight, working.space), target)
        if associated and working.alpha is not None and working.weight is not None:
            matted = colour.premultiply(straight, working.alpha)
            straight = np.where(working.weight[..., None] > 0, matted, straight)
        result = straight[..., :1] if result.shape[2] == 1 else straight
    part = _as_float(frame.part, output.samples)
    part.pixels[..., list(frame.layer.colour)] = colour.to_samples(result, part.pixels.dtype)
    attributes = {name: value for name, value in part.attributes.items() if name not in STATING_ATTRIBUTES}
    for name, value in colour.stated(target).items():
        attributes[name] = Attribute("string" if isinstance(value, str) else "float[8]", value)
    parts = list(frame.parts)
    parts[frame.layer.part] = replace(part, attributes=attributes)
    return replace(frame, parts=tuple(parts), colour_space=output.space, excess=None)


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
