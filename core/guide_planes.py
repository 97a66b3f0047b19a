"""Guide planes: a renderer's channels beside colour, as further planes that the network sees.

Each channel is read by a fixed rule on the style's card, the same in training and in rendering. A plane
at a pixel depends only on the channel's sample there, never on the rest of the frame, and is in [0, 1]:

    normal   (clip(x, -1, 1) + 1) / 2             components of unit vectors
    depth    1 / (1 + |x| / scale)                distances: 1 at the camera, 1/2 at `scale`, 0 at infinity
    colour   encode(clip(x, 0, 1))                albedo in scene-linear light; integers are encoded already
    mask     clip(x, 0, 1)                        coverage, occlusion
    vector   (1 + x / (scale + |x|)) / 2          positions, motion: anything that has no bound
    id       three planes, a hash of the number           identifiers of objects or materials, which have no order

Render identifiers without antialiasing: the mean of two numbers is a third.

A channel that is NaN or infinite, or whose data window does not cover the plate, reads as empty there: a depth as
infinitely far, everything else as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from impasto.core import colour
from impasto.core.errors import UsageError
from impasto.core.frame import AlphaKind, Frame, Part, Pixels, Samples, find_channel, find_layer
from impasto.core.grade_settings import Resize
from impasto.core.guides import ID_PLANES, Guide
from impasto.core.resize import resize_frame


def planes_of(frame: Frame, guides: Sequence[Guide]) -> Samples | None:
    """The guides of a frame in its data window, (H, W, planes) float32 in [0, 1], or None for none.

    `Frame.guides` is searched first, then the frame's own parts. Pictures of other files are aligned with the plate by
    their display windows. Raises UsageError, naming channel and frame, for a channel that is not there
    or whose display window is of another size.
    """
    if not guides:
        return None
    planes = []
    for guide in guides:
        found = find_channel((*frame.guides, *frame.parts), guide.channel)
        if found is None:
            raise UsageError(_missing(frame, guide.channel))
        part, position = found
        planes.append(_over(read(part.pixels[..., position], guide), guide, part, frame))
    return np.concatenate(planes, axis=2)


def read(samples: Pixels, guide: Guide) -> Samples:
    """Samples of a channel (H, W) of any type as the planes that the network sees: (H, W, planes) float32."""
    if guide.reading == "id":
        return _hashed(samples)
    raw = colour.to_float(samples)
    sound = np.isfinite(raw)
    values = np.where(sound, raw, np.float32(0))
    scale, one, two = np.float32(guide.scale), np.float32(1), np.float32(2)
    match guide.reading:
        case "normal":
            values = (np.clip(values, -one, one) + one) / two
        case "depth":
            values = np.where(sound, one / (one + np.abs(values) / scale), np.float32(0))
        case "colour":
            values = np.clip(values, np.float32(0), one)
            values = colour.encode(values) if samples.dtype.kind == "f" else values
        case "mask":
            values = np.clip(values, np.float32(0), one)
        case "vector":
            values = (one + values / (scale + np.abs(values))) / two
        case "plain":
            pass
    return np.asarray(values, np.float32)[..., None]


def resized_planes(planes: Samples, frame: Frame, plate: Frame) -> Samples:
    """Planes of a frame's data window, resized by nearest samples to that of `plate`, its resized frame.

    `impasto.core.resize.resize_frame` treats all channels that are not colour so: identifiers must not blend.
    """
    window = plate.part.display_window
    channels = ("Y", *(f"plane.{index}" for index in range(planes.shape[2])))
    pixels = np.concatenate((np.zeros_like(planes[..., :1]), planes), axis=2)
    part = replace(frame.part, pixels=pixels, channels=channels, formats=("float",) * len(channels))
    alone = replace(frame, parts=(part,), layer=find_layer((part,)), alpha_kind=AlphaKind.NONE)
    target = Resize(width=window.width, height=window.height)
    return np.asarray(resize_frame(alone, target, "scene_linear").part.pixels[..., 1:], np.float32)


def _hashed(samples: Pixels) -> Samples:
    """Three planes that depend on the number alone and differ from those of every other number.

    They are bits of the splitmix64 finaliser (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195) over the number
    as a double, so that half, float and integer files agree on a number. 0 is black.
    """
    numbers = samples.astype(np.float64)
    numbers = np.where(np.isfinite(numbers), numbers, 0.0) + 0.0  # -0 is 0
    bits = numbers.view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    planes = [(bits >> np.uint64(16 * index)) & np.uint64(0xFFFF) for index in range(ID_PLANES)]
    return np.stack([(plane / 65535).astype(np.float32) for plane in planes], axis=2)


def _over(planes: Samples, guide: Guide, part: Part, frame: Frame) -> Samples:
    """Planes of a part's data window in that of the plate, with empty values where it does not cover the plate."""
    plate, own, theirs = frame.part, part.display_window, frame.part.display_window
    if (own.width, own.height) != (theirs.width, theirs.height):
        raise UsageError(
            f"expected guide layers of the plate's size {theirs.width}x{theirs.height}, got {own.width}x{own.height} "
            f"for '{guide.channel}' of frame {frame.number}; render them in the size of the plate"
        )
    data, wanted = part.data_window, plate.data_window
    left = (data.x - own.x) - (wanted.x - theirs.x)
    top = (data.y - own.y) - (wanted.y - theirs.y)
    if (left, top, data.width, data.height) == (0, 0, wanted.width, wanted.height):
        return planes
    empty = read(np.full((1, 1), np.inf if guide.reading == "depth" else 0, np.float32), guide)
    field = np.broadcast_to(empty, (wanted.height, wanted.width, planes.shape[2])).copy()
    rows = slice(max(top, 0), max(min(top + data.height, wanted.height), 0))
    columns = slice(max(left, 0), max(min(left + data.width, wanted.width), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        field[rows, columns] = planes[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return field


def _missing(frame: Frame, channel: str) -> str:
    """The message for a channel that a frame lacks."""
    where = f" ('{frame.source}')" if frame.source else ""
    there = [each for part in (*frame.guides, *frame.parts) for each in part.channels]
    shown = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
    return (
        f"expected the guide channel '{channel}' that this style was trained with, frame {frame.number}{where} has "
        f"none, only {shown}; render it into the plate, or name the pictures that hold it with --guides"
    )
