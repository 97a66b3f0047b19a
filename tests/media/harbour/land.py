"""The coast: three bodies of land as height functions, the painted nets made from them, and far hills."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from noise import fbm, smoothstep
from numpy.typing import ArrayLike, NDArray
from surface import Points, Surface, ball, grid, join, paint, surface

Field = NDArray[np.float64]

VILLAGE_AT = (53.0, 150.0)
VILLAGE_REACH = (43.0, 54.0)
LIGHTHOUSE_AT = (-39.0, 158.0)
QUAY_HEIGHT = 1.7


def headland_inland(x: ArrayLike, y: ArrayLike) -> Field:
    """Metres inland from the foreground's shore, negative at sea."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    shore = 23.0 - 0.42 * x + 0.006 * np.minimum(x, 0) ** 2 + 3.2 * fbm(x / 7, y / 7, 3, 11)
    return np.asarray((shore - y) * 0.9)


def village_inland(x: ArrayLike, y: ArrayLike) -> Field:
    """Metres inland from the quay, negative at sea."""
    across = (np.asarray(x) - VILLAGE_AT[0]) / VILLAGE_REACH[0]
    deep = (np.asarray(y) - VILLAGE_AT[1]) / VILLAGE_REACH[1]
    return np.asarray(
        (1 - np.hypot(across, deep)) * VILLAGE_REACH[0] + 1.6 * fbm(np.asarray(x) / 15, np.asarray(y) / 15, 1, 3)
    )


def point_inland(x: ArrayLike, y: ArrayLike) -> Field:
    """Metres inland from the shore of the lighthouse's point, negative at sea."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    rough = 5.5 * fbm(x / 11, y / 11, 4, 21)
    tip = (1 - np.hypot((x - LIGHTHOUSE_AT[0] + 2) / 21, (y - LIGHTHOUSE_AT[1] - 4) / 15)) * 15
    neck = (1 - np.hypot((x + 104) / 66, (y - 186) / 24)) * 24
    return np.asarray(np.maximum(tip, neck) + rough)


def headland_height(x: ArrayLike, y: ArrayLike) -> Field:
    """Height of the foreground above the sea."""
    inland = headland_inland(x, y)
    top = 5.2 - 0.05 * np.asarray(x) + 0.3 * fbm(np.asarray(x) / 5, np.asarray(y) / 5, 3, 31)
    crag = 0.7 * fbm(np.asarray(x) / 1.3, np.asarray(y) / 1.3, 4, 33) * smoothstep(4.5, 1.5, inland)
    return np.where(inland < 0, inland * 0.7, top * smoothstep(0, 4.2, inland) + crag * smoothstep(0, 1, inland))


def village_height(x: ArrayLike, y: ArrayLike) -> Field:
    """Height of the village's hill: a level quay, then a steep slope with steps for the rows of houses."""
    inland = village_inland(x, y)
    climb = np.clip((inland - 6.5) / 36, 0, 1)
    hill = QUAY_HEIGHT + 27 * climb**0.9 * (1.15 - 0.15 * climb)
    hill = hill + smoothstep(6.5, 12, inland) * 0.9 * fbm(np.asarray(x) / 6, np.asarray(y) / 6, 4, 41)
    return np.where(inland < 1.4, -1.0, hill)


def point_height(x: ArrayLike, y: ArrayLike) -> Field:
    """Height of the lighthouse's rocky point."""
    inland = point_inland(x, y)
    layers = 0.8 * fbm(np.asarray(x) / 3, np.asarray(y) / 3, 4, 51)
    top = 7.2 + 0.16 * np.clip(inland, 0, 20) + layers
    return np.where(inland < 0, inland * 0.8, top * smoothstep(0, 6.5, inland) ** 0.75)


def path_across(y: ArrayLike) -> Field:
    """Where the footpath of the headland runs: x for a given y."""
    y = np.asarray(y, float)
    return 1.2 + 1.9 * np.sin(y * 0.24 + 0.4) + 0.10 * y


def headland() -> Surface:
    """The foreground net, finest near the camera: turf, a worn path, and crags at the rim."""
    x, y = np.meshgrid(np.linspace(-44, 30, 420), np.geomspace(3.0, 63.0, 330) - 2.0)
    z = headland_height(x, y)
    rock = _rockiness(headland_height, x, y, 0.8, 1.6)
    mottle = fbm(x / 2.1, y / 2.1, 4, 61)[..., None]
    turf = _between(paint("#7d8a33"), paint("#b9a844"), 0.5 + 0.7 * mottle)
    stone = _between(paint("#6e6258"), paint("#b99f83"), 0.5 + 0.6 * fbm(x * 1.1, z * 2.2, 4, 62)[..., None])
    worn = smoothstep(0.75, 0.35, np.abs(x - path_across(y)) + 0.3 * fbm(x * 2, y * 2, 3, 63))[..., None]
    earth = _between(paint("#b28c5e"), paint("#d9b98a"), 0.5 + 0.5 * mottle)
    colour = turf * (1 - worn) + earth * worn
    return _net(x, y, z, _wet(colour * (1 - rock) + stone * rock, z))


def village_hill() -> Surface:
    """The hill under the houses: stone quay, terraces of dry grass and scrub."""
    x, y = np.meshgrid(np.linspace(6, 100, 190), np.linspace(94, 206, 170))
    z = village_height(x, y)
    inland = village_inland(x, y)[..., None]
    mottle = 0.5 + 0.7 * fbm(x / 5, y / 5, 4, 71)[..., None]
    colour = _between(paint("#6f7f3a"), paint("#b7a25a"), mottle)
    rock = _rockiness(village_height, x, y, 1.3, 2.2)
    colour = colour * (1 - rock) + _between(paint("#8a7460"), paint("#c4a684"), mottle) * rock
    quay = smoothstep(7.5, 6.5, inland)
    colour = colour * (1 - quay) + _between(paint("#b39c80"), paint("#d8c3a0"), mottle) * quay
    return _net(x, y, z, _wet(colour, z))


def quay() -> Surface:
    """The masonry wall along the village's waterfront, with a coping of pale slabs."""
    angle = np.radians(np.linspace(140, 310, 260))
    reach = np.ones_like(angle)
    for _ in range(12):  # walk in or out along each ray to where the shore lies
        x, y = (VILLAGE_AT[k] + VILLAGE_REACH[k] * reach * f for k, f in enumerate((np.cos(angle), np.sin(angle))))
        reach += (village_inland(x, y) - 0.6) / VILLAGE_REACH[0]
    foot = np.stack([x, y], -1)
    inward = np.array(VILLAGE_AT) - foot
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    rows = [(-0.25, -2.0), (0.0, 0.5), (0.06, 1.55), (-0.14, 1.56), (-0.14, 1.9), (1.5, 1.92)]
    net = np.array([np.column_stack([foot + inward * step, np.full(len(foot), z)]) for step, z in rows])
    block = 0.5 + 0.8 * fbm(np.arange(260)[None] / 1.7, net[..., 2] * 3, 3, 73)[..., None]
    return grid(net, _wet(_between(paint("#9a8168"), paint("#dcc6a2"), block), net[..., 2]))


def lighthouse_point() -> Surface:
    """The rocky point that carries the lighthouse, reaching in from the left."""
    x, y = np.meshgrid(np.linspace(-175, -12, 300), np.linspace(134, 214, 150))
    z = point_height(x, y)
    rock = _rockiness(point_height, x, y, 0.45, 1.0)
    mottle = 0.5 + 0.7 * fbm(x / 6, y / 6, 4, 81)[..., None]
    strata = 0.5 + 0.6 * fbm(x / 6, z * 0.9, 4, 82)[..., None]
    stone = _between(paint("#6f5a4f"), paint("#c8a07a"), strata)
    colour = _between(paint("#6c7c38"), paint("#b5a04e"), mottle)
    return _net(x, y, z, _wet(colour * (1 - rock) + stone * rock, z))


def far_hills() -> list[Surface]:
    """Ridges on the horizon, nearest first; the haze of the materials sets them apart."""
    ridges = []
    for k, (y, height, left, right, seed) in enumerate(
        ((620, 60, -560, -60, 5), (1000, 105, -900, 420, 6), (1700, 170, -1300, 1300, 7))
    ):
        x, t = np.meshgrid(np.linspace(left, right, 260), np.linspace(0, 1, 16))
        crest = smoothstep(right, right - (0.55 if k else 0.7) * (right - left), x)
        ridge = height * crest * (0.5 + 0.45 * fbm(x / (height * 2.2), 0.5 * k, 5, seed))
        z = np.maximum(ridge, 0.0) * np.sin(t * np.pi / 2) - 1
        folds = 0.5 + 0.6 * fbm(x / 40, t * 5, 4, seed + 3)[..., None]
        colour = _between(paint("#5d6f45"), paint("#a8925e"), folds)
        ridges.append(_net(x, y + 260 * t + 30 * fbm(x / 60, t * 3, 3, seed + 9), z, colour))
    return ridges


def boulders(inland: Callable[[ArrayLike, ArrayLike], Field], area: tuple[float, float, float, float], count: int,
             size: tuple[float, float], band: tuple[float, float], seed: int) -> Surface:  # fmt: skip
    """Rough stones strewn over `area` (x0, x1, y0, y1) where `inland` lies within `band`, waterline first."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(area[0], area[1], 20000), rng.uniform(area[2], area[3], 20000)
    depth = inland(x, y)
    chosen = np.flatnonzero((depth > band[0]) & (depth < band[1]))[:count]
    round_stone = ball(14, 18)
    stones = []
    for i in chosen:
        reach = size[0] + (size[1] - size[0]) * rng.uniform() ** 2.5
        p = round_stone.points
        shift = rng.uniform(0, 50)
        bulge = 1 + 0.42 * fbm(p[:, 0] * 1.3 + shift, p[:, 1] * 1.3 + p[:, 2] * 1.7, 3, seed)
        facet = np.round(bulge * 7) / 7 * 0.6 + bulge * 0.4
        points = p * facet[:, None] * reach * rng.uniform(0.7, 1.25, 3) * [1, 1, 0.75]
        tone = _between(
            paint("#5f544d"), paint("#c2a588"), 0.45 + 0.5 * fbm(p[:, 0] * 2 + shift, p[:, 2] * 4, 3, 9)[:, None]
        )
        stone = surface(points, round_stone.triangles, tone).moved((0, 0, 0), rng.uniform(0, 6.3))
        z = max(float(depth[i]) * 0.5, -0.6) + 0.1 * reach
        placed = stone.moved((x[i], y[i], z))
        stones.append(surface(placed.points, placed.triangles, _wet(placed.colours, placed.points[:, 2])))
    return join(stones)


def _rockiness(height: Callable[[ArrayLike, ArrayLike], Field], x: Field, y: Field, low: float, high: float) -> Field:
    """0 on level ground to 1 where the slope exceeds `high` (rise over run), with an axis for colours."""
    e = 0.35
    slope = np.hypot(height(x + e, y) - height(x - e, y), height(x, y + e) - height(x, y - e)) / (2 * e)
    return smoothstep(low, high, slope + 0.25 * fbm(x / 1.5, y / 1.5, 3, 91))[..., None]


def _wet(colour: Points, z: Field) -> Points:
    """Darker and greener near the waterline, as stone that the sea reaches."""
    wet = smoothstep(1.0, 0.15, z)[..., None]
    return np.asarray(colour * (1 - wet) + colour * wet * np.array([0.36, 0.42, 0.34]))


def _between(a: Points, b: Points, t: Field) -> Points:
    return np.asarray(a + (b - a) * np.clip(t, 0, 1))


def _net(x: Field, y: Field, z: Field, colour: Points) -> Surface:
    return grid(np.stack([x, y, z], -1), np.clip(colour, 0.004, 1))
