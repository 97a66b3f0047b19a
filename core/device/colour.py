"""`impasto.core.colour` in tensors: the same steps, planes first, so that a GPU reads each channel in one run.

Pictures are (3, H, W) float32, alpha and masks (1, H, W). The functions of the same names in `impasto.core.colour`
state everything else. Nothing here reads a value out of a tensor, so nothing waits for the device. Results agree with
those of numpy within a few units in the last place.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.colour import LUMA
from impasto.core.colour.alpha import LEAST_ALPHA
from impasto.core.colour.closed_form import ClosedForm, LogCurve, PowerCurve, Rows
from impasto.core.colour.plate import DETAIL_RADIUS, DETAIL_SIGMA, ROUNDING
from impasto.core.colour.srgb_tensors import decode, encode


def to_linear(plate: Tensor, form: ClosedForm) -> Tensor:
    """Plate space to scene-linear Rec.709; the argument itself where it is that already."""
    light = plate
    match form.curve:
        case "sRGB":
            light = decode(plate)
        case LogCurve() as curve:
            bright = torch.exp2((plate - curve.offset).div_(curve.slope)).sub_(curve.shift).div_(curve.gain)
            dark = (plate - curve.toe_offset).div_(curve.toe_slope)
            knee = curve.toe_slope * curve.knee + curve.toe_offset
            light = torch.where(plate > knee, bright, dark)
        case PowerCurve() as curve:
            bright = (plate + curve.offset).div_(1 + curve.offset).clamp_(min=0).pow_(curve.gamma)
            light = torch.where(plate > curve.knee, bright, plate * curve.toe_slope)
    return light if form.to_rec709 is None else through_matrix(light, form.to_rec709)


def from_linear(light: Tensor, form: ClosedForm) -> Tensor:
    """Scene-linear Rec.709 to the plate space: the inverse of `to_linear`."""
    if form.from_rec709 is not None:
        light = through_matrix(light, form.from_rec709)
    match form.curve:
        case "sRGB":
            return encode(light)
        case LogCurve() as curve:
            bright = (light * curve.gain).add_(curve.shift).clamp_(min=1e-38).log2_()
            dark = (light * curve.toe_slope).add_(curve.toe_offset)
            return torch.where(light > curve.knee, bright.mul_(curve.slope).add_(curve.offset), dark)
        case PowerCurve() as curve:
            bright = light.clamp(min=0).pow_(1 / curve.gamma).mul_(1 + curve.offset).sub_(curve.offset)
            return torch.where(light > curve.knee * curve.toe_slope, bright, light / curve.toe_slope)
        case _:
            return light


def through_matrix(pixels: Tensor, rows: Rows) -> Tensor:
    """A 3x3 on every pixel, in float32 throughout: no matrix product, which a GPU may round to fewer bits."""
    red, green, blue = pixels
    mixed = torch.empty_like(pixels)
    for plane, (of_red, of_green, of_blue) in zip(mixed, rows, strict=True):
        torch.mul(red, of_red, out=plane)
        plane.add_(green, alpha=of_green).add_(blue, alpha=of_blue)
    return mixed


def luma(pixels: Tensor) -> Tensor:
    """Luma of R'G'B' (ITU-R BT.709-6, item 3.2), (1, H, W)."""
    of_red, of_green, of_blue = (float(weight) for weight in LUMA)
    return (pixels[:1] * of_red).add_(pixels[1:2], alpha=of_green).add_(pixels[2:], alpha=of_blue)


def brightest(pixels: Tensor) -> Tensor:
    """The largest of three channels, (1, H, W); NaN where one is."""
    return torch.maximum(torch.maximum(pixels[:1], pixels[1:2]), pixels[2:])


def coverage(alpha: Tensor) -> Tensor:
    """How far the colour under a matte can be trusted, in [0, 1], and 0 below `LEAST_ALPHA`."""
    trusted = torch.nan_to_num(alpha, nan=0.0, posinf=0.0, neginf=0.0).clamp_(0, 1)
    return torch.where(trusted < float(LEAST_ALPHA), 0.0, trusted)


def unpremultiply(colour: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Colour as it is without its matte, given the `coverage` of that matte."""
    return colour / torch.where(weight > 0, alpha, 1.0)


def changed(painted: Tensor, linear: Tensor) -> Tensor:
    """Where the painting differs from the plate by more than rounding, (1, H, W)."""
    difference = brightest((painted - linear).abs_())
    limit = brightest(linear.abs()).mul_(ROUNDING)
    return (difference <= limit).logical_not_().logical_and_(limit.isfinite())


def keep_colour(styled: Tensor, plate: Tensor, amount: float) -> Tensor:
    """Luma from the style, chroma from the plate, by `amount`; the argument itself where that is 0."""
    if amount == 0:
        return styled
    light = luma(styled)
    chroma = plate - luma(plate)
    most, least = brightest(chroma), brightest(-chroma)
    room = torch.minimum((1 - light) / (most + 1e-12), light / (least + 1e-12)).clamp_(0, 1)
    return chroma.mul_(room).add_(light).sub_(styled).mul_(amount).add_(styled)


def put_back_detail(styled: Tensor, plate: Tensor, amount: float) -> Tensor:
    """Add the plate's fine detail that the style lost, by `amount`; the argument itself where that is 0.

    For pictures of more than `DETAIL_RADIUS` pixels each way, as torch mirrors an edge no further.
    """
    if amount == 0:
        return styled
    wanted, shown = _detail(plate), _detail(styled)
    shown = torch.minimum(torch.maximum(shown, wanted.clamp(max=0)), wanted.clamp(min=0))
    return wanted.sub_(shown).mul_(amount).add_(styled)


def mixed(result: Tensor, plate: Tensor, strength: float, matte: Tensor | None) -> Tensor:
    """The result over the plate by strength and matte, in the plate's own space; NaN and infinity are the plate's."""
    if matte is None and strength == 1:
        return result
    difference = result - plate
    difference = torch.where(difference.isfinite(), difference, 0.0)
    amount = strength if matte is None else matte.clamp(0, 1).mul_(strength)
    return difference.mul_(amount).add_(plate)


def to_float(samples: Tensor) -> Tensor:
    """Samples as float32, contiguous: integers divided by their greatest value."""
    fractions = samples.to(torch.float32, memory_format=torch.contiguous_format)
    return fractions if samples.is_floating_point() else fractions.mul_(1.0 / torch.iinfo(samples.dtype).max)


def to_samples(fractions: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 as samples: integers rounded to the nearest and clipped, NaN as 0."""
    if dtype.is_floating_point:
        return fractions.to(dtype)
    greatest = torch.iinfo(dtype).max
    scaled = (fractions * greatest).round_()
    return scaled.nan_to_num_(nan=0.0, posinf=greatest, neginf=0.0).clamp_(0, greatest).to(dtype)


def _detail(pixels: Tensor) -> Tensor:
    radius, kernel = DETAIL_RADIUS, _gaussian(str(pixels.device))
    blurred = F.pad(pixels[:, None], (radius, radius, radius, radius), mode="reflect")
    blurred = F.conv2d(F.conv2d(blurred, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return pixels - blurred[:, 0]


@lru_cache(maxsize=16)
def _gaussian(device: str) -> Tensor:
    """The weights of a blur of `DETAIL_SIGMA`. They are cached, because an upload waits for the device."""
    taps = [math.exp(-(place**2) / (2 * DETAIL_SIGMA**2)) for place in range(-DETAIL_RADIUS, DETAIL_RADIUS + 1)]
    return torch.tensor([tap / sum(taps) for tap in taps], dtype=torch.float32).to(device)
