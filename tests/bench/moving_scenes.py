"""Scenes whose every surface carries paint of its own, so that the right painting of each frame is known.

Both the plate and the paint of a frame are the same surfaces, bare and painted, seen by the same camera. Light falls on
both alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples
from tests.bench.hand_strokes import hand_painted

HEIGHT, WIDTH = 360, 640
FINER = 2
"""Pixels are means of this many across and down."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A texture, bare and painted, both (h, w, 3)."""

    bare: Samples
    painted: Samples


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a surface is seen in a frame: places in its texture (x, y), its light, and where it covers, all (H, W)."""

    x: Samples
    y: Samples
    light: Samples
    covers: Samples


Scene = Callable[[float], list[Seen]]
"""From time in [0, 1] to what is seen of each surface, the farthest first."""


def surface_of(picture: Samples, seed: int) -> Surface:
    """A picture as a surface, and what a hand makes of it."""
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)
    return Surface(soft, hand_painted(soft, seed))


def frame_of(surfaces: list[Surface], scene: Scene, time: float) -> tuple[Samples, Samples]:
    """The plate and the right painting at a time, (H, W, 3) in [0, 1]."""
    plate, paint = (np.zeros((FINER * HEIGHT, FINER * WIDTH, 3), np.float32) for _ in range(2))
    for surface, seen in zip(surfaces, scene(time), strict=True):
        for canvas, texture in ((plate, surface.bare), (paint, surface.painted)):
            there = cv2.remap(texture, seen.x, seen.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            canvas += seen.covers[..., None] * (there * seen.light[..., None] - canvas)
    shown = [cv2.resize(each, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for each in (plate, paint)]
    grain = 0.006 * np.random.default_rng(round(1e4 * time)).standard_normal((HEIGHT, WIDTH, 3))
    return np.clip(shown[0] + grain, 0, 1).astype(np.float32), np.clip(shown[1], 0, 1).astype(np.float32)


def places() -> tuple[Samples, Samples]:
    """x and y of every sample, in pixels of the frame from its middle."""
    y, x = np.mgrid[: FINER * HEIGHT, : FINER * WIDTH].astype(np.float32) / FINER
    return x - WIDTH / 2, y - HEIGHT / 2


def camera(time: float, reach: float) -> tuple[Samples, Samples]:
    """The places, seen by a camera in a hand that pans by `reach` pixels and comes nearer by a few percent."""
    x, y = places()
    zoom, roll = 1 - 0.05 * time, 0.02 * np.sin(4 * time)
    x, y = zoom * (x * np.cos(roll) - y * np.sin(roll)), zoom * (x * np.sin(roll) + y * np.cos(roll))
    shake = 2 * np.sin(31 * time), 1.5 * np.sin(23 * time + 1)
    return x + reach * time + shake[0], y + 0.2 * reach * time + shake[1] - 1.5 * np.sin(1)


def turning_head(turn: float, reach: float) -> Scene:
    """A ball that turns by `turn` radians under a fixed light, before a ground over which the camera pans."""

    def seen(time: float) -> list[Seen]:
        x, y = camera(time, reach)
        ground = Seen(*to_texture(x, y), *(np.ones_like(x) for _ in range(2)))
        x, y = camera(time, 0.4 * reach)
        radius, angle = 125.0, turn * np.sin(0.5 * np.pi * time)
        u, v = (x + 20 * time) / radius, (y - 10) / (1.2 * radius)
        rest = 1 - u * u - v * v
        depth = np.sqrt(np.maximum(rest, 0))
        back = u * np.cos(angle) - depth * np.sin(angle), u * np.sin(angle) + depth * np.cos(angle)
        across, down = np.arctan2(back[0], back[1]), np.arcsin(np.clip(v, -1, 1))
        light = 0.45 + 0.65 * np.clip(0.5 * u - 0.4 * v + 0.75 * depth, 0, 1)
        ball = Seen(*to_texture(160 * across, 160 * down), light.astype(np.float32), edge(rest * radius / 2))
        return [ground, ball]

    return seen


def passing_cards(reach: float) -> Scene:
    """Two uneven shapes that walk across a ground, one turning in the picture, one bending."""

    def seen(time: float) -> list[Seen]:
        x, y = camera(time, 0.3 * reach)
        found = [Seen(*to_texture(x, y), *(np.ones_like(x) for _ in range(2)))]
        for side, size in ((-1, 95), (1, 80)):
            x, y = camera(time, 0)
            x, y = x - side * (110 - reach * time), y - 25 * side - 6 * np.sin(9 * time)
            angle = 0.35 * side * np.sin(2.5 * time)
            x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
            x = x + 7 * np.sin(y / 50 + 5 * time) * (side > 0)
            outline = size * (1 + 0.15 * np.sin(3 * np.arctan2(y, x) + side)) - np.hypot(x, 0.7 * y)
            found.append(Seen(*to_texture(1.6 * x, 1.6 * y), np.ones_like(x), edge(outline)))
        return found

    return seen


def edge(inside: Samples) -> Samples:
    """How far a surface covers, from pixels inside its outline."""
    return np.clip(inside + 0.5, 0, 1).astype(np.float32)


def to_texture(x: Samples, y: Samples) -> tuple[Samples, Samples]:
    """Places from the middle of a texture of 900x600."""
    return (x + 450).astype(np.float32), (y + 300).astype(np.float32)


SCENES: dict[str, tuple[Scene, int]] = {
    "head": (turning_head(0.7, 45), 2),
    "hand-held": (turning_head(0.15, 90), 2),
    "passing": (passing_cards(60), 3),
}
"""Name -> the scene and how many surfaces it has."""


def in_key(scene: Scene, key: float, time: float) -> Samples:
    """How much of each pixel at a time shows what the frame at the key's time shows too, (H, W) in [0, 1]."""
    found = np.zeros((FINER * HEIGHT, FINER * WIDTH), np.float32)
    before, now = scene(key), scene(time)
    for index, (known, seen) in enumerate(zip(before, now, strict=True)):
        hidden = np.clip(sum((each.covers for each in before[index + 1 :]), np.zeros_like(found)), 0, 1)
        shows = (known.covers > 0.5) & (hidden < 0.5)
        texture = np.zeros((1400, 1800), np.float32)
        x, y = (np.rint(each[shows]).astype(int) for each in (known.x + 450, known.y + 400))
        within = (x >= 0) & (x < 1800) & (y >= 0) & (y < 1400)
        texture[y[within], x[within]] = 1
        texture = cv2.morphologyEx(texture, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        there = cv2.remap(texture, seen.x + 450, seen.y + 400, cv2.INTER_LINEAR)
        found += seen.covers * (there - found)
    return np.asarray(cv2.resize(found, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32)
