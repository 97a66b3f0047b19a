"""One flat picture of a frame, for formats that have no parts, windows or floating point: PNG, DPX, JPEG, movies."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from impasto.core.excess import excess_of, with_excess
from impasto.core.frame import AlphaKind, Excess, Frame, Pixels, Samples

LEVELS = "levels above white or below black"
"""What of a frame is clipped, in the words of the notes."""
_FULL_SCALE = {"uint8": 255, "uint10": 1023, "uint12": 4095, "uint14": 16383, "uint16": 65535}


def flatten(frame: Frame, alpha: Literal["associated", "unassociated", "either", "none"]) -> Pixels:
    """The colour layer and its alpha over the display window, (H, W, 1 to 4), in the dtype of the frame.

    What lies outside the display window is dropped, what the data window does not cover is 0; other
    layers and parts are dropped. Where the alpha of the frame is of another kind than asked for,
    colour is multiplied or divided by it in float32 (no division where alpha is 0), and comes
    back rounded to the integer dtype it had. With 'none' the picture is laid over black: straight
    colour is multiplied by alpha, so that nothing hidden under alpha 0 shows, and alpha is dropped.
    """
    part, layer = frame.part, frame.layer
    chosen = list(layer.colour)
    if layer.alpha is not None:
        chosen.append(layer.alpha)
    data, display = part.data_window, part.display_window
    pixels = part.pixels[..., chosen]
    if data != display:
        canvas = np.zeros((display.height, display.width, len(chosen)), pixels.dtype)
        left, top = max(data.x, display.x), max(data.y, display.y)
        right = min(data.x + data.width, display.x + display.width)
        bottom = min(data.y + data.height, display.y + display.height)
        if left < right and top < bottom:
            canvas[top - display.y : bottom - display.y, left - display.x : right - display.x] = pixels[
                top - data.y : bottom - data.y, left - data.x : right - data.x
            ]
        pixels = canvas
    if layer.alpha is None:
        return pixels
    if alpha in ("associated", "none") and frame.alpha_kind is AlphaKind.UNASSOCIATED:
        pixels = _scaled(pixels, multiply=True)
    elif alpha == "unassociated" and frame.alpha_kind is AlphaKind.ASSOCIATED:
        pixels = _scaled(pixels, multiply=False)
    return np.ascontiguousarray(pixels[..., :-1]) if alpha == "none" else pixels


def flattened_away(frame: Frame, alpha: Literal["associated", "unassociated", "either", "none"]) -> list[str]:
    """In words, what of a frame is not in its flat picture."""
    part, layer = frame.part, frame.layer
    kept = {*layer.colour, layer.alpha}
    words = [f"channel {name}" for index, name in enumerate(part.channels) if index not in kept]
    words += [
        f"part {each.attributes['name'].value if 'name' in each.attributes else number}"
        for number, each in enumerate(frame.parts)
        if number != layer.part
    ]
    if layer.alpha is not None and alpha == "none":
        words.append("alpha")
    data, shown = part.data_window, part.display_window
    beyond = data.x < shown.x or data.y < shown.y
    beyond |= data.x + data.width > shown.x + shown.width or data.y + data.height > shown.y + shown.height
    return [*words, "what lies outside the display window"] if beyond else words


def unclipped(frame: Frame) -> Frame:
    """The frame with its excess in float samples; the same frame where it has none."""
    if frame.excess is None:
        return frame
    pixels, colour = unit_float(frame.part.pixels), list(frame.layer.colour)
    pixels[..., colour] = with_excess(pixels[..., colour], frame.excess)
    parts = list(frame.parts)
    parts[frame.layer.part] = replace(frame.part, pixels=pixels)
    return replace(frame, parts=tuple(parts), excess=None)


def clipped_away(pixels: Pixels) -> Excess | None:
    """What `quantise` clips off a flat picture of floats; grey counts as three equal channels."""
    if pixels.dtype.kind != "f":
        return None
    colour = pixels[..., :3] if pixels.shape[2] > 2 else np.repeat(pixels[..., :1], 3, axis=2)
    return excess_of(colour.astype(np.float32, copy=False))


def quantise(pixels: Pixels, stored: str) -> Pixels:
    """Samples as integers: float is clipped to [0, 1], NaN becomes 0, and rounded to the nearest step.

    `stored` is 'uint8', or 'uint10', 'uint12', 'uint14' and 'uint16', which all come out as uint16
    over its full range, rounded to a step of the named depth. Integers of another depth are
    scaled, so that 255 and 65535 both stay white.
    """
    if pixels.dtype == np.uint8 and stored == "uint8":
        return pixels
    if pixels.dtype == np.uint16 and stored != "uint8":
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(pixels.astype(np.uint16) * 257, np.uint16)
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)
    steps = _FULL_SCALE[stored]
    clipped = np.clip(np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    counted = np.rint(clipped * np.float32(steps))
    if stored == "uint8":
        return np.asarray(counted, np.uint8)
    return np.asarray(np.rint(counted * np.float64(65535.0 / steps)), np.uint16)


def unit_float(pixels: Pixels) -> Samples:
    """Integer samples as float32 in [0, 1]; float samples as float32, unclipped."""
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)


def _scaled(pixels: Pixels, *, multiply: bool) -> Pixels:
    """Colour times alpha, or divided by it where it is above zero; the last channel is alpha and stays."""
    values = unit_float(pixels)
    alpha = values[..., -1:]
    if multiply:
        values[..., :-1] *= alpha
    else:
        np.divide(values[..., :-1], alpha, out=values[..., :-1], where=alpha > 0)
    if pixels.dtype.kind != "u":
        return values.astype(pixels.dtype)
    full = np.iinfo(pixels.dtype).max
    return np.rint(np.clip(values, 0.0, 1.0) * full).astype(pixels.dtype)
