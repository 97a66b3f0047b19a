# SPDX-License-Identifier: GPL-3.0-or-later
"""The two halves of a wipe: where they lie over the preview, and their colours. Plain numbers, no `bpy`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corner:
    """A corner of a picture: where it is drawn, and its place in the picture (0 to 1, from the lower left)."""

    x: float
    y: float
    u: float
    v: float


Outline: TypeAlias = tuple[Corner, ...]
"""A convex polygon, counter-clockwise."""


@dataclass(frozen=True, slots=True)
class Placing:
    """How Blender lays a strip's picture onto the canvas."""

    width: int
    height: int
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    """In pixels of the canvas."""
    rotation: float = 0.0
    """In radians, counter-clockwise."""
    origin: tuple[float, float] = (0.5, 0.5)
    """The pivot of rotation and scale, as a part of the picture from its lower left."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels of the picture that are cut off: left, right, bottom, top."""
    flip: tuple[bool, bool] = (False, False)


def outline_of(placing: Placing) -> Outline:
    """The picture's four corners on the canvas, whose middle is 0, 0."""
    left, right, bottom, top = placing.crop
    columns, rows = (left, placing.width - right), (bottom, placing.height - top)
    if columns[0] >= columns[1] or rows[0] >= rows[1]:
        return ()
    cosine, sine = math.cos(placing.rotation), math.sin(placing.rotation)
    pivot = (placing.width * (placing.origin[0] - 0.5), placing.height * (placing.origin[1] - 0.5))
    corners = []
    for column, row in ((0, 0), (1, 0), (1, 1), (0, 1)):
        pixel = (columns[column], rows[row])
        x = (pixel[0] - placing.width / 2 - pivot[0]) * placing.scale[0]
        y = (pixel[1] - placing.height / 2 - pivot[1]) * placing.scale[1]
        u, v = pixel[0] / placing.width, pixel[1] / placing.height
        corners.append(
            Corner(
                x * cosine - y * sine + pivot[0] + placing.offset[0],
                x * sine + y * cosine + pivot[1] + placing.offset[1],
                1 - u if placing.flip[0] else u,
                1 - v if placing.flip[1] else v,
            )
        )
    return tuple(corners)


def left_of(outline: Outline, x: float) -> Outline:
    """The part of an outline that lies to the left of an upright line; () where there is none."""
    return _cut(outline, lambda corner: x - corner.x)


def right_of(outline: Outline, x: float) -> Outline:
    """The part of an outline that lies to the right of an upright line; () where there is none."""
    return _cut(outline, lambda corner: corner.x - x)


def line_at(outline: Outline, position: float) -> float:
    """The x of the line that has this part of the picture's width, 0 to 1, to its left."""
    left, right = (edge(corner.x for corner in outline) for edge in (min, max))
    return float(left + (right - left) * min(max(position, 0.0), 1.0))


def position_at(outline: Outline, x: float) -> float:
    """The inverse of `line_at`, for a mouse; 0 to 1 also beside the picture."""
    left, right = (edge(corner.x for corner in outline) for edge in (min, max))
    return float(min(max((x - left) / (right - left), 0.0), 1.0)) if right > left else 0.0


def screen_light(pixels: Samples, exposure: float = 0.0, gamma: float = 1.0, *, encoded: bool = False) -> Samples:
    """Scene-linear Rec.709, (H, W, 4) with associated alpha, to the light that a screen emits.

    By the view transform 'Standard' with the scene's `exposure` in stops and `gamma`: over black, clamped to [0, 1],
    opaque. Linear, because the framebuffer of a preview encodes what is drawn into it by itself; `encoded` as sRGB
    for a shader that expects that. Other view transforms are not imitated. NaN is shown black.
    """
    shown = np.ones((*pixels.shape[:2], 4), np.float32)
    exposed = pixels[..., :3] * np.float32(2.0**exposure)
    light = np.nan_to_num(exposed, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    if encoded or gamma != 1.0:
        codes = _encoded(light) ** np.float32(1 / gamma)
        light = codes if encoded else _decoded(codes)
    shown[..., :3] = light
    return shown


def _encoded(light: Samples) -> Samples:
    """sRGB, IEC 61966-2-1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _decoded(code: Samples) -> Samples:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def step_for(width: int, height: int, longest: int) -> int:
    """The step between the pixels of a picture that fit into a texture whose sides are at most `longest`."""
    return max(1, math.ceil(max(width, height) / longest))


def _cut(outline: Outline, inside: Callable[[Corner], float]) -> Outline:
    """Sutherland and Hodgman's clipping of a convex polygon by one line."""
    depth = [inside(corner) for corner in outline]
    kept: list[Corner] = []
    for place, corner in enumerate(outline):
        here, following, there = depth[place], outline[(place + 1) % len(outline)], depth[(place + 1) % len(outline)]
        if here >= 0:
            kept.append(corner)
        if (here > 0 > there) or (here < 0 < there):
            part = here / (here - there)
            kept.append(
                Corner(*(getattr(corner, name) + part * (getattr(following, name) - getattr(corner, name))
                         for name in ("x", "y", "u", "v")))
            )  # fmt: skip
    return tuple(kept) if len(kept) > 2 else ()
