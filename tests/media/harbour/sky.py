"""The evening sky as pictures: a lat-long gradient that lights the scene, and cumulus clouds on cards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from noise import fbm, smoothstep
from numpy.typing import NDArray
from surface import paint

Picture = NDArray[np.float32]
Field = NDArray[np.float64]

_LIGHT = (-0.78, 0.42, 0.30)

SUN_AZIMUTH = np.radians(-106.0)
"""Clockwise from straight ahead (+y): the sun stands to the left, a little behind the camera."""
SUN_ELEVATION = np.radians(17.0)
GLOW_AZIMUTH = np.radians(-62.0)
"""Where the painted sky is warmest: nearer to the picture than the sun, as a painter would cheat it."""


def sun_direction() -> NDArray[np.float64]:
    """Unit vector from the scene to the sun."""
    level = np.cos(SUN_ELEVATION)
    return np.array([level * np.sin(SUN_AZIMUTH), level * np.cos(SUN_AZIMUTH), np.sin(SUN_ELEVATION)])


def gradient(height: int = 256) -> Picture:
    """Lat-long sky, (height, 2*height, 4), row 0 at the nadir as Blender keeps pictures; scene-linear."""
    elevation = np.linspace(-np.pi / 2, np.pi / 2, height)[:, None]
    azimuth = np.linspace(-np.pi, np.pi, 2 * height)[None, :]
    to_sun = 0.5 + 0.5 * np.cos(azimuth - GLOW_AZIMUTH) * np.ones_like(elevation)
    up = np.clip(np.sin(elevation), 0, 1) * np.ones_like(azimuth)
    stops = [0.0, 0.05, 0.13, 0.26, 0.5, 1.0]
    near = [paint(c) for c in ("#ffcf8a", "#ffdc9c", "#f6e2b4", "#a4d3da", "#4f9fd2", "#2466b0")]
    away = [paint(c) for c in ("#fbc3a0", "#efc0b0", "#b4c3d6", "#6fabd8", "#3582c6", "#1d5aa4")]
    colour = np.zeros((*up.shape, 3))
    for k in range(3):
        warm = np.interp(up, stops, [c[k] for c in near])
        cool = np.interp(up, stops, [c[k] for c in away])
        colour[..., k] = cool + (warm - cool) * to_sun**1.5
    glow = to_sun**14 * np.exp(-up * 5)
    colour += glow[..., None] * np.array([1.1, 0.62, 0.22])
    colour[(elevation < 0)[:, 0]] *= 0.45
    return np.concatenate([colour, np.ones((*up.shape, 1))], -1).astype(np.float32)


@dataclass(frozen=True)
class Cloud:
    """One heap of puffs: centre and flat base on the card (0..1 across, 0..1 of the width up), and its size."""

    x: float
    base: float
    width: float
    height: float
    seed: int


def cloud_card(clouds: list[Cloud], columns: int, rows: int) -> Picture:
    """RGBA picture of heaped clouds lit from the left, (rows, columns, 4), row 0 at the bottom, straight alpha."""
    x, y = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, rows / columns, rows))
    picture = np.zeros((rows, columns, 4))
    for cloud in clouds:
        _pile(picture, x, y, cloud)
    colour = picture[..., :3] / np.maximum(picture[..., 3:], 1e-4)
    return np.concatenate([colour, picture[..., 3:]], -1).astype(np.float32)


def wisps(columns: int, rows: int, seed: int = 5) -> Picture:
    """RGBA picture of high thin cloud combed by the wind, (rows, columns, 4), straight alpha."""
    x, y = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, rows / columns, rows))
    bend = y - 0.16 * x + 0.05 * fbm(x * 5, y * 8, 3, seed)
    streak = fbm(x * 7 + 3 * bend, bend * 42, 5, seed + 1, 0.6)
    patch = smoothstep(-0.1, 0.55, fbm(x * 3.1, y * 5.5, 3, seed + 2))
    alpha = 0.75 * smoothstep(-0.05, 0.6, streak) * patch
    alpha *= smoothstep(0, 0.08, y) * smoothstep(rows / columns, rows / columns - 0.06, y)
    warm = smoothstep(0.9, 0.0, x + 1.1 * y)[..., None]
    colour = paint("#f2c9c4") * (1 - warm) + paint("#ffe2b8") * 1.15 * warm
    return np.concatenate([colour, alpha[..., None]], -1).astype(np.float32)


def _pile(picture: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], cloud: Cloud) -> None:
    """Paint one cloud over the premultiplied picture, puff by puff from the back."""
    rng = np.random.default_rng(cloud.seed)
    left, right = np.searchsorted(x[0], [cloud.x - cloud.width * 0.75, cloud.x + cloud.width * 0.75])
    top = int(np.searchsorted(y[:, 0], cloud.base + cloud.height * 1.5))
    low = int(np.searchsorted(y[:, 0], cloud.base - cloud.height * 0.35))
    window = np.s_[low:top, left:right]
    across = (x[window] - cloud.x) / cloud.width
    up = (y[window] - cloud.base) / cloud.height
    aspect = cloud.width / cloud.height
    frequency = 5.0
    warp = [fbm(across * frequency * aspect / 2, up * frequency / 2, 5, cloud.seed + k, 0.62) for k in (1, 2)]
    across, up = across + 0.085 * warp[0] / aspect * 2, up + 0.085 * warp[1] * 2
    grain = fbm(across * 13 * aspect / 2, up * 13 / 2, 4, cloud.seed + 5, 0.6)
    puffs = []
    for _ in range(110):
        at = float(np.clip(rng.normal(0, 0.2), -0.46, 0.46))
        ceiling = (1 - (abs(at + 0.06 * np.sin(cloud.seed)) / 0.5) ** 1.5) * (0.7 + 0.3 * np.sin(9 * at + cloud.seed))
        level = rng.uniform(0, 1) ** 0.8 * max(ceiling, 0.05)
        puffs.append((at, level, (0.11 + 0.17 * rng.uniform()) * (1.1 - 0.5 * level)))
    puffs.sort(key=lambda p: -p[1])
    region = picture[window]
    for at, level, radius in puffs:
        # Only the pixels that the puff can reach, with room for the warp.
        rows = np.flatnonzero(np.abs(up[:, 0] - level) < 1.25 * radius + 0.2)
        columns = np.flatnonzero(np.abs(across[0] - at) * aspect < 1.25 * radius + 0.4)
        if not len(rows) or not len(columns):
            continue
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        _puff(region[part], across[part], up[part], grain[part], (at, level, radius, aspect))


def _puff(region: Field, across: Field, up: Field, grain: Field, puff: tuple[float, float, float, float]) -> None:
    """Paint one puff (place, level, radius, aspect) over a premultiplied picture as a lit ball with a rough rim."""
    at, level, radius, aspect = puff
    dx, dy = (across - at) * aspect / radius, (up - level) / radius
    reach = np.sqrt(dx * dx + dy * dy)
    alpha = smoothstep(1.0, 0.80, reach + 0.10 * grain) * smoothstep(-0.08, 0.03, up + 0.05 * grain)
    facing = _LIGHT[0] * dx + _LIGHT[1] * dy + _LIGHT[2] * np.sqrt(np.clip(1 - reach**2, 0, 1)) + 0.22 * grain
    lit = smoothstep(-0.35, 0.85, facing) * (0.45 + 0.55 * smoothstep(-0.05, 0.55, up))
    lit = (lit * (0.6 + 0.4 * smoothstep(0.5, -0.4, across)))[..., None]
    low = smoothstep(0.5, 0.0, up)[..., None]
    shade = paint("#7f88bd") * (1 - low) + paint("#b592b0") * low
    middle, bright = paint("#f0b896"), paint("#fff0d2") * 1.25
    colour = np.where(lit < 0.5, shade + (middle - shade) * lit * 2, middle + (bright - middle) * (lit * 2 - 1))
    region[..., :3] += (colour - region[..., :3]) * alpha[..., None]
    region[..., 3] += (1 - region[..., 3]) * alpha
