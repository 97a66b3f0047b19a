"""Growing things: wind-blown grass and flowers in front, pines, cypresses and bushes further off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from land import headland_height, headland_inland, path_across
from noise import fbm, value_noise
from numpy.typing import NDArray
from surface import Points, Surface, join, leaves, paint, surface, tube

Numbers = NDArray[np.float64]
Swaying = tuple[Surface, Numbers]


@dataclass(frozen=True)
class Stems:
    """Where stems grow and how tall, one number for each."""

    x: Numbers
    y: Numbers
    z: Numbers
    tall: Numbers

    def above(self, which: NDArray[np.bool_], times: float, plus: float) -> Stems:
        """Those where `which` holds, taller by a factor and some metres, to stand out of the grass."""
        return Stems(self.x[which], self.y[which], self.z[which], self.tall[which] * times + plus)


@dataclass(frozen=True)
class Flower:
    """A kind of flower: colours of petal and heart, share of the stems in its patches, and size in metres."""

    petal: str
    heart: str
    share: float
    reach: float


FLOWERS = (
    Flower("#e0301e", "#2a1410", 0.036, 0.062),
    Flower("#fff3dc", "#f2b01e", 0.032, 0.048),
    Flower("#f4c23a", "#c9801e", 0.032, 0.045),
)
"""Poppies, daisies, buttercups."""


@dataclass(frozen=True)
class Meadow:
    """Blades and flowers whose upper points the wind moves: `sway` is metres of reach for each point."""

    surface: Surface
    sway: NDArray[np.float64]

    def points_at(self, seconds: float) -> Points:
        """The points bent by gusts that travel over the slope from the left."""
        p = self.surface.points
        gust = fbm(p[:, 0] / 3.4 - 1.15 * seconds, p[:, 1] / 3.4 + 0.25 * seconds, 3, 7)
        flutter = np.sin(seconds * 5.0 + 3.1 * value_noise(p[:, 0] * 1.4, p[:, 1] * 1.4, 8))
        bend = self.sway * (0.55 + 1.1 * gust + 0.12 * flutter)
        return np.asarray(p + np.stack([bend, 0.3 * bend, -0.35 * np.abs(bend)], -1))


def meadow(count: int = 62000, seed: int = 2) -> Meadow:
    """Grass in tufts over the headland, with poppies, daisies and lavender, and none on the path."""
    rng = np.random.default_rng(seed)
    y = 1.2 + 34 * rng.uniform(size=count * 3) ** 1.35
    x = rng.uniform(-1, 1, count * 3) * (3.0 + y * 0.72) - 0.5
    tufted = fbm(x / 0.8, y / 0.8, 3, 21) + rng.uniform(-0.6, 0.6, count * 3) > -0.25
    away = np.abs(x - path_across(y)) + 0.25 * value_noise(x * 2, y * 2, 5)
    keep = np.flatnonzero(tufted & (headland_inland(x, y) > 2.6) & (away > 0.62))[:count]
    x, y = x[keep], y[keep]
    tall = (0.30 + 0.30 * rng.uniform(size=len(x))) * (1 + 0.7 * fbm(x / 2.5, y / 2.5, 2, 23)).clip(0.45, 1.7)
    tall *= np.clip((np.abs(x - path_across(y)) - 0.3) / 1.0, 0.4, 1)
    grass = Stems(x, y, headland_height(x, y) - 0.03, tall)
    # Blades widen with distance, or the far ones would be thinner than a pixel and flicker.
    parts = [_blades(rng, grass, 0.014 * np.clip(y / 14, 0.35, 1.6))]
    for k, flower in enumerate(FLOWERS):
        patch = fbm(x / 2.6, y / 2.6, 2, 31 + k) + rng.uniform(-0.2, 0.2, len(x)) > 0.16
        blooming = patch & (rng.uniform(size=len(x)) < flower.share)
        parts.append(_flowers(rng, grass.above(blooming, 1.25, 0.06), flower))
    patch = (fbm(x / 2.2, y / 2.2, 2, 34) > 0.24) & (rng.uniform(size=len(x)) < 0.08)
    parts.append(_lavender(rng, grass.above(patch, 1.15, 0.12)))
    return Meadow(join(p for p, _ in parts), np.concatenate([s for _, s in parts]))


def umbrella_pine(seed: int, height: float = 9.0, leaf: float = 0.36, count: int = 2600) -> Surface:
    """A leaning trunk under flat pads of needles."""
    rng = np.random.default_rng(seed)
    lean = rng.uniform(-0.12, 0.12, 2) * height
    t = np.linspace(0, 1, 7)[:, None]
    trunk = np.hstack([lean * t**1.5, t * height * 0.86])
    parts = [tube(trunk, 0.032 * height * (1 - 0.6 * t[:, 0]), paint("#6b4a38"))]
    pads = []
    for k in range(8):
        turn, out = 2.4 * k + rng.uniform(0, 0.5), height * rng.uniform(0.12, 0.36) * (k > 0)
        pad = np.array([lean[0] + out * np.cos(turn), lean[1] + out * np.sin(turn), height * rng.uniform(0.74, 0.98)])
        pads.append((pad, height * rng.uniform(0.20, 0.30)))
        parts.append(tube([trunk[4], (trunk[5] + pad) / 2, pad], [0.09, 0.07, 0.04], paint("#6b4a38"), 5))
    for pad, reach in pads:
        parts.append(_clump(rng, pad, np.array([1, 1, 0.5]) * reach, leaf, count // 8, "#2f4a26", "#8c9a42"))
    return join(parts)


def cypress(seed: int, height: float = 9.0, count: int = 1100) -> Surface:
    """A dark flame of a tree."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(size=count) ** 0.8
    turn = rng.uniform(0, 2 * np.pi, count)
    reach = height * 0.12 * np.sin(np.pi * (0.12 + 0.88 * t)) ** 0.7 * rng.uniform(0.75, 1.08, count)
    out = np.stack([np.cos(turn), np.sin(turn), np.full(count, 0.5)], -1)
    at = np.stack([reach * np.cos(turn), reach * np.sin(turn), 0.4 + t * height], -1)
    shade = (0.35 + 0.65 * t + 0.25 * rng.normal(size=count)).clip(0, 1)[:, None]
    colour = paint("#20381f") + (paint("#66793a") - paint("#20381f")) * shade
    trunk = tube([[0, 0, -0.5], [0, 0, height * 0.5]], [0.16, 0.1], paint("#5a4031"))
    return trunk + leaves(at, rng.uniform(0.2, 0.4, count), colour, rng, out)


def bush(seed: int, reach: float = 1.6, count: int = 520, dark: str = "#3a5424", light: str = "#a3a848") -> Surface:
    """A round shrub of three clumps on the ground."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(3):
        at = np.array([*rng.normal(0, reach * 0.4, 2), reach * rng.uniform(0.35, 0.55)])
        parts.append(
            _clump(rng, at, np.array([1, 1, 0.8]) * reach * rng.uniform(0.6, 0.9), 0.24, count // 3, dark, light)
        )
    return join(parts)


def _clump(
    rng: np.random.Generator, at: Points, reach: Points, leaf: float, count: int, dark: str, light: str
) -> Surface:
    """Leaves over an ellipsoid, light above and dark below."""
    out = rng.normal(size=(count, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    inward = rng.uniform(0.6, 1.08, (count, 1))
    shade = (0.45 + 0.5 * out[:, 2:] + 0.2 * rng.normal(size=(count, 1))).clip(0, 1) * inward.clip(0, 1)
    colour = paint(dark) + (paint(light) - paint(dark)) * shade
    return leaves(at + out * inward * reach, leaf * rng.uniform(0.6, 1.2, count), colour, rng, out)


def _blades(rng: np.random.Generator, stems: Stems, half: Numbers) -> Swaying:
    """Tapering blades of three triangles, `half` as wide to each side; the root stands still."""
    x, y, tall, n = stems.x, stems.y, stems.tall, len(stems.x)
    turn = rng.uniform(0, np.pi, n)
    side = np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], -1) * half[:, None]
    lean = rng.normal(0, 0.16, (n, 2)) * tall[:, None]
    root = np.stack([x, y, stems.z], -1)
    middle = root + np.column_stack([lean * 0.35, tall * 0.55])
    tip = root + np.column_stack([lean, tall])
    points = np.stack([root - side, root + side, middle - side * 0.75, middle + side * 0.75, tip], 1)
    first = 5 * np.arange(n)[:, None]
    triangles = np.concatenate([first + [0, 1, 3], first + [0, 3, 2], first + [2, 3, 4]])
    dry = (0.5 + 0.55 * fbm(x / 3.2, y / 3.2, 3, 41) + 0.22 * rng.normal(size=n)).clip(0, 1)[:, None]
    tone = (paint("#6a8c2f") + (paint("#dcc45a") - paint("#6a8c2f")) * dry) * rng.uniform(0.75, 1.15, (n, 1))
    colours = np.stack([tone * 0.45, tone * 0.45, tone * 0.85, tone * 0.85, tone * 1.1], 1)
    sway = tall[:, None] * np.array([0, 0, 0.16, 0.16, 0.42])
    return surface(points, triangles, colours.reshape(-1, 3)), sway.ravel()


def _flowers(rng: np.random.Generator, stems: Stems, flower: Flower) -> Swaying:
    """Stems with a six-petalled cup that looks towards the camera and the sun."""
    n = len(stems.x)
    size = flower.reach * rng.uniform(0.7, 1.25, n) * np.clip(stems.y / 9, 0.8, 1.5)
    stem, stem_sway = _blades(rng, stems, np.full(n, 0.008))
    tip = stem.points.reshape(n, 5, 3)[:, 4]
    facing = np.array([-0.35, -0.55, 0.6]) + 0.35 * rng.normal(size=(n, 3))
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    across = np.cross(facing, [0.0, 0, 1.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(across, facing)
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    wave = np.where(np.arange(12) % 2 == 0, 1.0, 0.72)[None, :, None] * size[:, None, None]
    rim = tip[:, None] + wave * (across[:, None] * np.cos(turns)[:, None] + up[:, None] * np.sin(turns)[:, None])
    rim = rim + facing[:, None] * size[:, None, None] * 0.25
    points = np.concatenate([tip[:, None], rim], 1)
    first = 13 * np.arange(n)[:, None]
    fan = np.concatenate([first + [0, 1 + k, 1 + (k + 1) % 12] for k in range(12)])
    tone = paint(flower.petal) * rng.uniform(0.75, 1.1, (n, 1, 1))
    colours = np.concatenate([np.broadcast_to(paint(flower.heart), (n, 1, 3)), np.broadcast_to(tone, (n, 12, 3))], 1)
    head = surface(points, fan, colours.reshape(-1, 3))
    return stem + head, np.concatenate([stem_sway, np.repeat(0.42 * stems.tall, 13)])


def _lavender(rng: np.random.Generator, stems: Stems) -> Swaying:
    """Stems with a spike of violet florets on the upper half."""
    n = len(stems.x)
    stem, stem_sway = _blades(rng, stems, np.full(n, 0.007))
    rows = stem.points.reshape(n, 5, 3)
    root, tip = rows[:, 0], rows[:, 4]
    share = np.linspace(0.5, 1.05, 9)
    at = (root[:, None] + (tip - root)[:, None] * share[:, None]).reshape(-1, 3)
    wide = np.repeat(np.clip(stems.y / 9, 0.8, 2.0), 9)
    at = at + rng.normal(0, 0.012, at.shape) * wide[:, None]
    tone = np.where(rng.uniform(size=(len(at), 1)) < 0.5, paint("#7d5bb5"), paint("#b48ad6"))
    head = leaves(at, 0.032 * wide, tone, rng)
    sway = np.repeat((0.42 * stems.tall[:, None] * share**1.6).ravel(), 4)
    return stem + head, np.concatenate([stem_sway, sway])
