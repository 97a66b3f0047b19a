"""What moves on and over the water: the sailing boat, moored boats, gulls, a pennant, and the sea's net."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from land import headland_inland, point_inland, village_inland
from noise import fbm, smoothstep
from numpy.typing import NDArray
from surface import Points, Surface, box, grid, join, paint, surface, tube


def hull(length: float, beam: float, depth: float, colours: tuple[str, str, str]) -> Surface:
    """A round-bilged hull along +x with bow at +length/2: planks below, a stripe, and the deck."""
    stations = np.linspace(-1, 1, 25)
    half = (
        beam
        / 2
        * np.clip(1 - np.clip((stations + 0.25) / 1.25, 0, 1) ** 2.2, 0, 1)
        * (0.82 + 0.18 * smoothstep(-1, -0.3, stations))
    )
    sheer = depth * (0.55 + 0.35 * np.clip(stations, 0, 1) ** 2 + 0.1 * stations**2)
    around = np.linspace(-1, 1, 17)
    s, a = np.meshgrid(stations, around, indexing="ij")
    width = half[:, None] * np.sign(a) * np.abs(a) ** 0.55
    z = (
        sheer[:, None]
        - (sheer[:, None] + depth * 0.45 * (1 - np.clip(s, 0, 1) ** 3)) * np.sqrt(1 - a**2).clip(0, 1) ** 0.8
    )
    net = np.stack([s * length / 2 + 0.05 * length * np.clip(s, 0, 1) ** 3 * z, width, z], -1)
    body, stripe, deck = (paint(c) for c in colours)
    level = (z / sheer[:, None])[..., None]
    colour = np.where(level > 0.72, stripe, body) * np.where(level < 0.05, 0.45, 1.0)
    top = np.stack(
        [
            s * length / 2 + 0.05 * length * np.clip(s, 0, 1) ** 3 * z,
            half[:, None] * a * 0.97,
            np.broadcast_to(sheer[:, None] - 0.08, s.shape),
        ],
        -1,
    )
    return grid(net, colour) + grid(top, deck)


def sailing_boat() -> Surface:
    """A gaff cutter, ten metres long, with cream and rust-red sails, heading along +x and heeled to the right."""
    parts = [hull(10.0, 3.0, 1.5, ("#1f4e5f", "#f4ead6", "#b98a58"))]
    spar = paint("#b07c48")
    parts.append(tube([[0.8, 0, 0], [0.7, 0, 11.0]], [0.14, 0.07], spar))
    parts.append(tube([[0.75, 0, 1.9], [-5.6, 0.9, 2.1]], [0.10, 0.08], spar))
    parts.append(tube([[0.75, 0, 7.4], [-3.7, 0.9, 10.6]], [0.09, 0.06], spar))
    parts.append(tube([[4.6, 0, 1.25], [7.2, 0, 1.75]], [0.10, 0.06], spar))
    for end in ((7.1, 0, 1.75), (-4.8, 0, 0.9), (0.5, 1.4, 0.9), (0.5, -1.4, 0.9)):
        parts.append(tube([[0.7, 0, 10.6], list(end)], 0.025, paint("#3b3129"), 4))
    parts.append(
        _sail([[0.65, 0, 2.0], [-5.5, 0.9, 2.2], [0.65, 0, 7.4], [-3.6, 0.9, 10.5]], 0.55, "#f6e4bd", "#e8c896")
    )
    parts.append(
        _sail([[1.3, 0.8, 1.9], [6.9, 0, 1.9], [0.85, 0.05, 9.6], [0.95, 0.05, 9.6]], 0.5, "#c9472f", "#a8382a")
    )
    cabin = np.array([[-2.2, -0.8, 0.8], [-2.2, 0.8, 0.8], [0.2, 0.7, 1.45], [0.2, -0.7, 1.45]])
    parts.append(box(cabin.min(0), cabin.max(0), paint("#f4ead6")))
    parts.append(box((-4.0, -0.25, 0.7), (-3.6, 0.25, 1.9), paint("#c23b32")))
    parts.append(box((-3.95, -0.16, 1.9), (-3.68, 0.16, 2.25), paint("#e0b090")))
    heeled = join(parts)
    c, s = np.cos(0.13), np.sin(0.13)
    return surface(heeled.points @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]), heeled.triangles, heeled.colours)


def moored_boats() -> list[tuple[Surface, tuple[float, float], float]]:
    """Rowing and fishing boats for the cove: (surface, place, heading)."""
    rng = np.random.default_rng(15)
    schemes = [
        ("#f4ead6", "#2f7f86", "#b98a58"),
        ("#2c5f8a", "#f4ead6", "#b98a58"),
        ("#c23b32", "#f4ead6", "#a9794a"),
        ("#e5b13a", "#3a5a40", "#b98a58"),
        ("#4f8a5b", "#f4ead6", "#b98a58"),
    ]
    places = [(4.5, 122), (11, 119), (17, 112.5), (23.5, 107), (31, 101), (1.5, 133), (3, 141), (14, 104), (25, 97)]
    boats = []
    for k, place in enumerate(places):
        length = float(rng.uniform(4.5, 7.5))
        boat = hull(length, length * 0.34, 1.0, schemes[k % 5])
        if k % 2 == 0:
            boat = boat + tube([[0.3, 0, 0], [0.2, 0, length * 1.0]], [0.08, 0.04], paint("#b07c48"))
            boat = boat + tube([[0.3, 0, 1.2], [-length * 0.42, 0, 1.35]], [0.16, 0.1], paint("#e9dcc0"))
        boats.append((boat, place, float(rng.uniform(-0.5, 0.9) + (np.pi if k % 3 == 0 else 0))))
    return boats


def gull(beat: float) -> Surface:
    """A gull flying along +x; `beat` -1..1 is the height of its wings."""
    white, grey = paint("#fbf6ec"), paint("#8d97a3")
    body = tube([[-0.42, 0, 0], [-0.2, 0, 0], [0.15, 0, 0.02], [0.38, 0, 0.02]], [0.02, 0.1, 0.11, 0.02], white)
    wings = []
    for side in (-1, 1):
        elbow, tip = 0.10 + 0.30 * beat, 0.02 + 0.62 * beat - 0.12
        points = [
            [0.16, 0, 0.05],
            [-0.16, 0, 0.05],
            [0.24, side * 0.55, elbow],
            [-0.10, side * 0.55, elbow],
            [-0.08, side * 1.15, tip],
        ]
        wings.append(
            surface(points, [[0, 1, 3], [0, 3, 2], [2, 3, 4]], np.array([white, white, grey, grey, paint("#3c4048")]))
        )
    return join([body, *wings])


def pennant(seconds: float) -> Surface:
    """A long red pennant from a mast at the origin, waving towards +x."""
    t, v = np.meshgrid(np.linspace(0, 1, 22), np.linspace(-1, 1, 5))
    wave = 0.32 * t * np.sin(8.5 * t - 9 * seconds)
    net = np.stack(
        [3.2 * t, wave, v * 0.42 * (1 - 0.75 * t) - 0.35 * t**2 + 0.12 * t * np.sin(7 * t - 9 * seconds + 1)], -1
    )
    return grid(net, paint("#d8372a"))


BOAT_START, BOAT_HEADING, BOAT_SPEED = np.array([-16.5, 88.0]), np.radians(-9.0), 3.3


def boat_place(seconds: float) -> NDArray[np.float64]:
    """Where the sailing boat is: (x, y)."""
    return np.asarray(BOAT_START + BOAT_SPEED * seconds * np.array([np.cos(BOAT_HEADING), np.sin(BOAT_HEADING)]))


@dataclass(frozen=True)
class Sea:
    """The sea's net at rest with, for each point, metres to the nearest shore and the share of swell it takes."""

    rest: Surface
    to_shore: NDArray[np.float64]
    calm: NDArray[np.float64]

    def at(self, seconds: float) -> tuple[Points, NDArray[np.float64]]:
        """Points of the moving sea and the foam at each, 0..1."""
        x, y = self.rest.points[:, 0], self.rest.points[:, 1]
        moved = self.rest.points.copy()
        crest = np.zeros_like(x)
        rng = np.random.default_rng(6)
        for length in (17.0, 12.5, 9.0, 6.8, 5.1, 3.9, 2.9, 2.2, 1.6):
            turn = np.radians(-20) + rng.normal(0, 0.55)
            height = 0.0125 * length * rng.uniform(0.7, 1.2)
            k, speed = 2 * np.pi / length, np.sqrt(9.81 * 2 * np.pi / length)
            phase = k * (x * np.cos(turn) + y * np.sin(turn)) - speed * seconds + rng.uniform(0, 6.3)
            share = self.calm * smoothstep(1.6, 4.5, length / (0.0135 * np.maximum(y, 14)))
            moved[:, 2] += height * share * np.sin(phase)
            moved[:, 0] += 0.8 * height * share * np.cos(turn) * np.cos(phase)
            moved[:, 1] += 0.8 * height * share * np.sin(turn) * np.cos(phase)
            crest += share * 0.0125 * length * np.sin(phase)
        ragged = fbm(x / 2.3, y / 2.3, 3, 43)
        wash = 0.9 * np.sin(1.7 * seconds + 2.2 * fbm(x / 9, y / 9, 2, 44))
        foam = smoothstep(3.4, 0.2, self.to_shore + wash + 1.6 * ragged) * 0.95
        foam = np.maximum(foam, 0.5 * smoothstep(0.36, 0.62, crest + 0.2 * ragged) * smoothstep(240, 120, y))
        return moved, np.maximum(foam, self._wake(seconds))

    def _wake(self, seconds: float) -> NDArray[np.float64]:
        """Foam of the sailing boat's bow wave and wake."""
        c, s = np.cos(BOAT_HEADING), np.sin(BOAT_HEADING)
        from_boat = self.rest.points[:, :2] - boat_place(seconds)
        ahead, aside = from_boat @ [c, s], np.abs(from_boat @ [-s, c])
        behind = np.clip(4.6 - ahead, 0, None)
        arm = np.exp(-(((aside - 0.4 - 0.24 * behind) / (0.35 + 0.02 * behind)) ** 2)) * np.exp(-behind / 9)
        middle = np.exp(-((aside / 1.1) ** 2)) * smoothstep(-3.5, -6.5, ahead) * np.exp(-behind / 22)
        return np.where(ahead < 4.8, np.maximum(0.9 * arm, 0.75 * middle), 0.0)


def sea() -> Sea:
    """The net from the foreground's shore to the horizon, denser near the camera."""
    y = np.geomspace(9.0, 7000.0, 440)[:, None]
    across = np.linspace(-0.86, 0.80, 430)[None, :]
    x, y = np.broadcast_arrays(across * (y + 14), y)
    shore = -np.maximum(np.maximum(headland_inland(x, y), village_inland(x, y)), point_inland(x, y))
    deep = smoothstep(1.0, 17.0, shore + 3 * fbm(x / 9, y / 9, 3, 45))[..., None]
    shallow, open_sea = np.array([0.07, 0.58, 0.48]), np.array([0.010, 0.19, 0.27])
    patch = (0.85 + 0.4 * fbm(x / 30, y / 60, 3, 46))[..., None]
    colour = (shallow + (open_sea - shallow) * deep**0.7) * patch
    cove = smoothstep(-8, 14, x) * smoothstep(85, 105, y)
    calm = (1 - 0.72 * cove) * smoothstep(-0.5, 6, shore) * 1.0
    rest = grid(np.stack([x, y, np.zeros_like(x)], -1), colour)
    return Sea(rest, shore.ravel(), calm.ravel())


def _sail(corners: list[list[float]], belly: float, cloth: str, seam: str) -> Surface:
    """A sail between foot (two corners) and head (two corners), blown out towards +y, with sewn panels."""
    low_a, low_b, high_a, high_b = (np.array(c, float) for c in corners)
    u, v = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 37))
    u, v = u[..., None], v[..., None]
    net = (low_a * (1 - u) + low_b * u) * (1 - v) + (high_a * (1 - u) + high_b * u) * v
    net = net + np.array([0, 1.0, 0]) * belly * 4 * u * (1 - u) * np.sin(np.pi * (0.15 + 0.7 * v))
    panel = (np.arange(37) % 6 == 5)[:, None, None]
    return grid(net, np.where(panel, paint(seam), paint(cloth)) * np.ones_like(net))
