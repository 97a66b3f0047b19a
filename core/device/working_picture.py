"""`impasto.core.working_picture` in tensors: from samples on a device to the working picture, and back to samples.

For the common frame alone (see `device_transform_of`). Every other frame goes through numpy, which is the reference:
on the CPU in float32 the two agree within a few units in the last place, and what the network did
not change comes back bit for bit from both. Unmeasured on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.colour import PlateSpace, plate_space
from impasto.core.colour.closed_form import ClosedForm, LogCurve, closed_form
from impasto.core.colour.plate import DETAIL_RADIUS
from impasto.core.colour.srgb_tensors import decode, encode
from impasto.core.device import colour
from impasto.core.device.resample import filled, resized
from impasto.core.device.transfer import DTYPES
from impasto.core.frame import AlphaKind, ColourLayer, Frame
from impasto.core.params import Params

MOST_CHANNELS = 4
"""More (depth, identifiers, light groups) would fill the bus with channels that no style sees."""


@dataclass(frozen=True, slots=True)
class DeviceTransform:
    """How a device turns the samples of one frame into linear light and back."""

    layer: ColourLayer
    space: PlateSpace
    form: ClosedForm
    associated: bool


@dataclass(frozen=True, slots=True)
class DeviceWorkingPicture:
    """The tensors of an `impasto.core.working_picture.WorkingPicture`, planes first.

    `raw` is the part's samples (H, W, C) as they came. `linear`, `floor`, `gain` and `valid` are None
    where the samples are the working picture already.
    """

    transform: DeviceTransform
    raw: Tensor
    plate: Tensor
    picture: Tensor
    linear: Tensor | None = None
    floor: Tensor | None = None
    gain: Tensor | None = None
    valid: Tensor | None = None
    alpha: Tensor | None = None
    weight: Tensor | None = None
    exposure: float = 0.0
    invalid_pixels: int = 0

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Every field that is in the device's memory."""
        return (
            *(self.raw, self.plate, self.picture, self.linear, self.floor),
            *(self.gain, self.valid, self.alpha, self.weight),
        )  # fmt: skip


def device_transform_of(frame: Frame, params: Params, input_space: str | None) -> DeviceTransform | None:
    """The transform of a frame on a device, or None where the frame must go through numpy.

    There is one for one to four channels of uint8, uint16, half or float in a space that is a curve and a matrix. There
    is none for premultiplied samples of a logarithm, whose division by alpha loses the precision of float32, and with
    `detail` none for pictures smaller than its blur. Raises UnknownName as `plate_space` does.
    """
    part = frame.part
    if len(part.channels) > MOST_CHANNELS or part.pixels.dtype.name not in DTYPES:
        return None
    if params.detail and min(frame.height, frame.width) <= DETAIL_RADIUS:
        return None
    space = plate_space(frame, input_space)
    form = closed_form(space)
    associated = frame.layer.alpha is not None and frame.alpha_kind is AlphaKind.ASSOCIATED
    if form is None or (associated and isinstance(form.curve, LogCurve)):
        return None
    return DeviceTransform(frame.layer, space, form, associated)


def to_working(raw: Tensor, transform: DeviceTransform, exposure: float) -> DeviceWorkingPicture:
    """What the network sees of samples (H, W, C). Waits for the device once, to count holes and NaN."""
    plate = _planes(raw, transform.layer.colour)
    straight = plate.expand(3, -1, -1) if len(plate) == 1 else plate
    alpha = None if transform.layer.alpha is None else _planes(raw, (transform.layer.alpha,))
    if transform.space.is_working and not raw.is_floating_point() and alpha is None and exposure == 0:
        return DeviceWorkingPicture(transform, raw, plate, straight)
    weight = None if alpha is None else colour.coverage(alpha)
    if alpha is not None and weight is not None and transform.associated:
        straight = colour.unpremultiply(straight, alpha, weight)
    linear = colour.to_linear(straight, transform.form)
    if exposure:
        linear = linear * 2.0**exposure
    finite = linear.isfinite()
    valid = finite[:1] & finite[1:2] & finite[2:]
    invalid_count, holes = _counted(valid, weight)
    shown = linear if weight is None else _without_holes(linear, weight, holes)
    if invalid_count:
        # The fill under a matte may have covered some of them: only those that the network still sees are counted.
        finite = shown.isfinite()
        valid = finite[:1] & finite[1:2] & finite[2:]
        invalid_count = int(torch.count_nonzero(valid.logical_not()))
        shown = _without_holes(shown, valid.to(torch.float32), invalid_count)
    floor = shown.clamp(max=0)
    visible = shown.clamp(min=0)
    gain = colour.brightest(visible).clamp_(min=1)
    picture = encode(visible.div_(gain))
    return DeviceWorkingPicture(
        transform, raw, plate, picture, linear, floor, gain, valid, alpha, weight, exposure, invalid_count
    )


def network_input(
    working: DeviceWorkingPicture, guides: Tensor | None, stroke: float, stride: int
) -> tuple[Tensor, tuple[int, int]]:
    """The network's input (H, W, C) float32, scaled by 1/stroke and padded to its stride, and its size unpadded."""
    height, width = working.picture.shape[1:]
    size = max(1, round(height / stroke)), max(1, round(width / stroke))
    inputs = working.picture if guides is None else torch.cat((working.picture, guides))
    inputs = resized(inputs, size, "area" if stroke > 1 else "cubic")[None]
    below, right = -size[0] % stride, -size[1] % stride
    padded = F.pad(inputs, (0, right, 0, below), mode="replicate") if below or right else inputs
    return padded[0].permute(1, 2, 0), size


def apply_maps(working: DeviceWorkingPicture, maps: Tensor, size: tuple[int, int], params: Params) -> Tensor:
    """The painting (3, H, W) in working space: gain and bias on the picture, then colour and detail of the plate.

    `maps` is (H, W, 6) float32, as `impasto.core.generators.packed.full_maps` answers it.
    """
    gain, bias = maps[: size[0], : size[1]].permute(2, 0, 1)[None].chunk(2, dim=1)
    whole = working.picture.shape[1:]
    if size != tuple(whole):
        smaller = params.stroke < 1
        gain, bias = (F.interpolate(m, size=whole, mode="bilinear", antialias=smaller) for m in (gain, bias))
    # Planes first whatever the layout of the maps: a processor's powers differ between the middle and end of a run.
    picture = working.picture
    styled = torch.addcmul(bias[0], gain[0], picture, out=torch.empty_like(picture)).add_(picture)
    styled = colour.keep_colour(styled, working.picture, params.colour)
    return colour.put_back_detail(styled, working.picture, params.detail)


def to_plate(working: DeviceWorkingPicture, styled: Tensor, strength: float, matte: Tensor | None) -> Tensor:
    """The part's samples (H, W, C) with the colour layer painted, in the type they came in; the rest bit for bit."""
    result = _result(working, styled)
    result = colour.mixed(result, working.plate, strength, matte)
    samples = colour.to_samples(result, working.raw.dtype)
    whole = torch.empty(working.raw.shape, dtype=working.raw.dtype, device=working.raw.device).copy_(working.raw)
    for plane, channel in zip(samples, working.transform.layer.colour, strict=True):
        whole[..., channel].copy_(plane)
    return whole


def _result(working: DeviceWorkingPicture, styled: Tensor) -> Tensor:
    """The painting in the plate's own space, and the plate's own samples where nothing was painted."""
    grey = len(working.plate) == 1
    if working.linear is None or working.gain is None or working.floor is None or working.valid is None:
        return colour.luma(styled) if grey else styled
    light = decode(styled).mul_(working.gain).add_(working.floor)
    light = torch.where(working.valid, light, working.linear)
    # A GPU's power is up to four units off (CUDA C++ Programming Guide, mathematical functions), which exceeds the
    # tolerance of `changed`. So a pixel that the network returned as it was counts as unchanged, whatever its curve.
    touched = styled != working.picture
    mask = (touched[:1] | touched[1:2] | touched[2:]) & colour.changed(light, working.linear)
    if working.weight is not None:
        mask &= working.weight > 0
    if working.exposure:
        light.mul_(2.0**-working.exposure)
    result = colour.from_linear(light, working.transform.form)
    if working.alpha is not None and working.transform.associated:
        result = result * working.alpha
    if grey:
        result = colour.luma(result)
    return torch.where(mask, result, working.plate)


def _planes(raw: Tensor, channels: tuple[int, ...]) -> Tensor:
    """Channels of (H, W, C) as planes (n, H, W), float32, contiguous."""
    return torch.stack([colour.to_float(raw[..., channel]) for channel in channels])


def _counted(valid: Tensor, weight: Tensor | None) -> tuple[int, int]:
    """How many pixels are invalid and how many have no weight, both with one wait for the device."""
    counts = [torch.count_nonzero(valid.logical_not())]
    counts.append(torch.count_nonzero(weight <= 0) if weight is not None else torch.zeros_like(counts[0]))
    invalid, holes = torch.stack(counts).tolist()
    return int(invalid), int(holes)


def _without_holes(pixels: Tensor, weight: Tensor, holes: int) -> Tensor:
    if holes == 0:
        return pixels
    return torch.zeros_like(pixels) if holes == weight.numel() else filled(pixels, weight)
