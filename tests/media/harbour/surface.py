"""Painted triangle surfaces as plain arrays, and the few solids that the harbour is built of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """Triangles with a colour at each corner point; metres, z up, colours scene-linear Rec.709."""

    points: Points
    triangles: NDArray[np.int32]
    colours: Points

    def __add__(self, other: Surface) -> Surface:
        return join([self, other])

    def moved(self, to: ArrayLike = (0, 0, 0), turn: float = 0.0, scale: ArrayLike = 1.0) -> Surface:
        """Scaled, then turned about z (radians, counter-clockwise), then moved."""
        c, s = np.cos(turn), np.sin(turn)
        spin = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        return Surface(
            (self.points * np.asarray(scale, float)) @ spin + np.asarray(to, float), self.triangles, self.colours
        )


def paint(code: str) -> Points:
    """'#rrggbb' as three scene-linear numbers."""
    srgb = np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def surface(points: ArrayLike, triangles: ArrayLike, colour: ArrayLike) -> Surface:
    """Arrays as a surface; one colour for all points, or one for each."""
    at = np.asarray(points, float).reshape(-1, 3)
    return Surface(
        at, np.asarray(triangles, np.int32).reshape(-1, 3), np.broadcast_to(np.asarray(colour, float), at.shape).copy()
    )


def join(parts: Iterable[Surface]) -> Surface:
    """All parts as one surface."""
    parts = list(parts)
    starts = np.cumsum([0] + [len(p.points) for p in parts])
    return Surface(
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.triangles + int(start) for p, start in zip(parts, starts, strict=False)]),
        np.concatenate([p.colours for p in parts]),
    )


def grid(points: Points, colour: ArrayLike) -> Surface:
    """A (rows, columns, 3) net of points as a surface, two triangles for each cell."""
    rows, columns = points.shape[:2]
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    flat = np.asarray(colour, float)
    return surface(points, triangles, flat.reshape(-1, 3) if flat.ndim == 3 else flat)


def box(low: Sequence[float], high: Sequence[float], colour: ArrayLike, foot: float = 1.0) -> Surface:
    """An upright box with hard edges; its lower corners bear the colour times `foot`."""
    corners = np.array([[(low, high)[k >> a & 1][a] for a in range(3)] for k in range(8)], float)
    sides = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    points = np.concatenate([corners[list(side)] for side in sides])
    triangles = [[4 * k + a, 4 * k + b, 4 * k + c] for k in range(6) for a, b, c in ((0, 1, 2), (0, 2, 3))]
    shade = np.where(points[:, 2:] > (low[2] + high[2]) / 2, 1.0, foot)
    return surface(points, triangles, np.asarray(colour, float) * shade)


def lathe(profile: Sequence[tuple[float, float]], colour: ArrayLike, segments: int = 24) -> Surface:
    """A profile of (radius, height) turned about z; `colour` may be one for each profile point."""
    turns = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(turns), np.sin(turns)], -1)
    net = np.array([np.column_stack([ring * radius, np.full(len(ring), height)]) for radius, height in profile])
    each = np.asarray(colour, float)
    return grid(net, np.broadcast_to(each[:, None] if each.ndim == 2 else each, net.shape))


def tube(path: ArrayLike, radius: ArrayLike, colour: ArrayLike, sides: int = 7) -> Surface:
    """A pipe along a path of points; one radius, or one for each point."""
    at = np.asarray(path, float)
    ahead = np.gradient(at, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    upright = np.abs(ahead[:, 2:]) > 0.9
    across = np.cross(ahead, np.where(upright, [[1.0, 0, 0]], [[0, 0, 1.0]]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    over = np.cross(across, ahead)
    turns = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    reach = np.broadcast_to(np.asarray(radius, float), len(at))[:, None, None]
    return grid(at[:, None] + reach * (across[:, None] * np.cos(turns) + over[:, None] * np.sin(turns)), colour)


def leaves(
    at: Points, size: ArrayLike, colours: Points, rng: np.random.Generator, outward: Points | None = None
) -> Surface:
    """One small kite for each point, turned at random, or roughly away from a centre where `outward` is given."""
    n = len(at)
    normal = rng.normal(size=(n, 3))
    if outward is not None:
        normal = normal * 0.75 + outward / (np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    along = np.cross(normal, rng.normal(size=(n, 3)))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(normal, along)
    reach = np.broadcast_to(np.asarray(size, float), n)[:, None]
    kite = np.stack([at - along * reach, at + across * reach * 0.55, at + along * reach, at - across * reach * 0.55], 1)
    first = 4 * np.arange(n)[:, None]
    triangles = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
    return surface(kite, triangles, np.repeat(colours, 4, axis=0))


def ball(rings: int = 10, segments: int = 16) -> Surface:
    """A unit sphere, white."""
    tilt = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    return lathe([(float(np.cos(t)), float(np.sin(t))) for t in tilt], (1.0, 1.0, 1.0), segments)
