"""What people built: houses in rows, a church, the lighthouse, a jetty and a fence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from land import LIGHTHOUSE_AT, VILLAGE_AT, VILLAGE_REACH, headland_height, path_across, point_height, village_height
from surface import Points, Surface, box, grid, join, lathe, paint, surface, tube

WALLS = ("#f6e7cf", "#f2c58b", "#e89a72", "#f3d9a6", "#dc7d62", "#f7efe2", "#f0b6a0", "#c9d6d3", "#eac06a", "#d9665a")
ROOFS = ("#d8754a", "#c8613a", "#e6925a", "#bd5a44", "#d9895f")
SHUTTERS = ("#2f7f86", "#3d6fa3", "#4f8a5b", "#24596e", "#8c3f3a")
GLASS = paint("#243a4d")
LAMPLIGHT = np.array([1.0, 0.56, 0.15])


def house(rng: np.random.Generator, width: float, depth: float, storeys: int) -> tuple[Surface, list[Surface]]:
    """One house at the origin, front towards -y: (painted parts, the panes behind which a lamp is lit)."""
    wall = paint(str(rng.choice(WALLS))) * rng.uniform(0.86, 1.0)
    height, shutter = 2.7 * storeys + 0.5, paint(str(rng.choice(SHUTTERS)))
    w, d = width / 2, depth / 2
    parts = [box((-w, -d, -5), (w, d, height), wall, 0.72)]
    parts.append(box((-w - 0.12, -d - 0.12, height - 0.25), (w + 0.12, d + 0.12, height), wall * 1.05))
    tiles = paint(str(rng.choice(ROOFS)))
    parts.append(_roof((width + 0.7, depth + 0.7, 1.25 + 0.22 * depth), tiles, wall, rng).moved((0, 0, height)))
    openings, lit = _openings(rng, (width, depth), storeys, shutter)
    parts += openings
    if rng.uniform() < 0.8:
        x, y, top = width * rng.uniform(-0.3, 0.3), depth * rng.uniform(-0.2, 0.2), height + 2.6 + 0.1 * depth
        parts.append(box((x - 0.35, y - 0.35, height), (x + 0.35, y + 0.35, top), wall * 0.9))
        parts.append(box((x - 0.45, y - 0.45, top), (x + 0.45, y + 0.45, top + 0.2), paint("#8c4a34")))
    if rng.uniform() < 0.35:
        parts.append(_awning(rng, width).moved((0, -d, 2.25)))
    return join(parts), lit


def _openings(
    rng: np.random.Generator, size: tuple[float, float], storeys: int, shutter: Points
) -> tuple[list[Surface], list[Surface]]:
    """Door and windows of a house of (width, depth), and the panes of those that are lit."""
    width, front = size[0], -size[1] / 2
    parts: list[Surface] = []
    lit: list[Surface] = []
    columns = max(2, round(width / 2.4))
    for storey in range(storeys):
        z = 2.7 * storey + 1.0
        for x in (np.arange(columns) - (columns - 1) / 2) * width / columns:
            if storey == 0 and abs(x - (columns - 1) / 2 * width / columns) < 0.1:
                parts.append(_opening((float(x), front, 0), (1.0, 2.1), shutter * 0.8, None))
                continue
            lamp = rng.uniform() < 0.17
            shutters = shutter if rng.uniform() < 0.85 else None
            parts.append(_opening((float(x), front, z), (0.85, 1.3), GLASS, shutters))
            if lamp:
                lit.append(box((x - 0.36, front - 0.10, z + 0.05), (x + 0.36, front - 0.085, z + 1.25), LAMPLIGHT))
        for side in (-1, 1):
            for y in (-size[1] / 5, size[1] / 5):
                opening = _opening((0, -width / 2, z), (0.8, 1.25), GLASS, shutter if storey else None)
                parts.append(opening.moved((0, 0, 0), side * np.pi / 2).moved((0, y, 0)))
    return parts, lit


def village(seed: int = 4) -> tuple[Surface, Surface]:
    """Rows of houses up the hill, and the church on top: (painted parts, lit windows)."""
    rng = np.random.default_rng(seed)
    parts: list[Surface] = []
    lamps: list[Surface] = []
    for row, share in enumerate((0.80, 0.665, 0.535, 0.41, 0.29)):
        angle = np.radians(158 + 6 * row)
        while angle < np.radians(292):
            width, depth = rng.uniform(5.2, 8.2), rng.uniform(5.5, 7.5)
            reach = np.array(VILLAGE_REACH) * (share + rng.uniform(-0.012, 0.012))
            step = (width + rng.choice([0.15, 0.3, 1.3])) / float(np.hypot(*(reach * [np.sin(angle), np.cos(angle)])))
            middle = angle + step / 2
            x, y = np.array(VILLAGE_AT) + reach * [np.cos(middle), np.sin(middle)]
            facing = np.arctan2(np.sin(middle) / reach[1], np.cos(middle) / reach[0]) + np.pi / 2
            angle += step
            if row > 0 and rng.uniform() < 0.1:
                continue
            storeys = int(rng.choice([2, 3, 3, 4] if row < 2 else [2, 2, 3]))
            painted, lit = house(rng, width, depth, storeys)
            ground = (float(x), float(y), float(village_height(x, y)) - 0.3)
            parts.append(painted.moved(ground, facing))
            lamps += [pane.moved(ground, facing) for pane in lit]
    x, y = VILLAGE_AT[0] - 2.0, VILLAGE_AT[1] - 4.0
    parts.append(_church().moved((x, y, float(village_height(x, y)) - 0.5), np.radians(-38)))
    return join(parts), join(lamps)


def lighthouse() -> tuple[Surface, Surface]:
    """The banded tower with its keeper's house, at its place: (painted parts, the lamp)."""
    white, red = paint("#fbf3e6"), paint("#c8312b")
    profile, colours = [], []
    for k in range(6):
        for t in (k / 6, (k + 1) / 6 - 1e-4):
            profile.append((3.1 - 1.25 * t**0.8, 19 * t))
            colours.append(red if k % 2 else white)
    parts = [lathe(profile, np.array(colours), 40)]
    iron, dome = paint("#35424a"), paint("#b32a25")
    parts.append(lathe([(1.9, 18.6), (2.9, 19.1), (2.9, 19.5), (1.6, 19.5)], white * 0.9, 40))
    for turn in np.linspace(0, 2 * np.pi, 14, endpoint=False):
        post = np.array([2.75 * np.cos(turn), 2.75 * np.sin(turn)])
        parts.append(box((*(post - 0.06), 19.5), (*(post + 0.06), 20.6), iron))
    parts.append(lathe([(2.72, 20.5), (2.84, 20.6), (2.72, 20.7), (2.66, 20.6), (2.72, 20.5)], iron, 40))
    for turn in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        post = np.array([1.5 * np.cos(turn), 1.5 * np.sin(turn)])
        parts.append(box((*(post - 0.07), 19.5), (*(post + 0.07), 22.4), iron))
    parts.append(
        lathe([(1.95, 22.3), (1.95, 22.5), (1.2, 23.5), (0.3, 24.1), (0.12, 24.2), (0.1, 25.4), (0, 25.5)], dome, 24)
    )
    rng = np.random.default_rng(12)
    keeper, lit = house(rng, 8.5, 6.0, 1)
    beside, turned = (8.0, -1.2, -0.6), np.radians(-30)
    parts.append(keeper.moved(beside, turned))
    shed, _ = house(rng, 4.5, 4.0, 1)
    parts.append(shed.moved((-7.0, 1.0, -0.4), np.radians(-50)))
    lamp = lathe([(0.0, 20.2), (0.75, 20.5), (0.85, 21.2), (0.7, 21.8), (0.0, 22.0)], np.array([1.0, 0.78, 0.42]), 16)
    ground = (*LIGHTHOUSE_AT, float(point_height(*LIGHTHOUSE_AT)) - 0.6)
    lights = join([lamp, *(pane.moved(beside, turned) for pane in lit)])
    return join(parts).moved(ground), lights.moved(ground)


def jetty() -> Surface:
    """A wooden jetty that reaches from the quay into the cove."""
    rng = np.random.default_rng(8)
    parts = []
    for k in range(44):
        tone = paint("#9a7550") * rng.uniform(0.7, 1.15)
        parts.append(box((k * 0.5, -1.3 + rng.uniform(-0.08, 0.08), 1.25), (k * 0.5 + 0.44, 1.3, 1.37), tone))
        if k % 6 == 2:
            for y in (-1.25, 1.25):
                parts.append(box((k * 0.5, y - 0.14, -3), (k * 0.5 + 0.28, y + 0.14, 2.0), paint("#6b4e36"), 0.4))
    return join(parts).moved((-1.0, 127.0, 0), np.radians(12))


def fence() -> Surface:
    """Leaning posts and two rails along the footpath, towards the sea."""
    rng = np.random.default_rng(9)
    wood = paint("#a98a66")
    y = np.array([6.2, 8.3, 10.5, 12.8, 15.2, 17.7, 20.0])
    x = path_across(y) + 1.15
    z = headland_height(x, y)
    tops: list[Points] = []
    parts: list[Surface] = []
    for px, py, pz in zip(x, y, z, strict=True):
        lean = rng.normal(0, 0.07, 2)
        top = np.array([px + lean[0], py + lean[1], pz + 1.05 + rng.uniform(-0.08, 0.08)])
        parts.append(tube(np.array([[px, py, pz - 0.4], top]), [0.075, 0.06], wood * rng.uniform(0.7, 1.1), 8))
        tops.append(top)
    for drop in (0.15, 0.58):
        for a, b in pairwise(tops):
            sag = (a + b) / 2 - [0, 0, drop + 0.05 + rng.uniform(0, 0.06)]
            parts.append(
                tube(np.stack([a - [0, 0, drop], sag, b - [0, 0, drop]]), 0.035, wood * rng.uniform(0.75, 1.1), 6)
            )
    return join(parts)


def _roof(size: tuple[float, float, float], colour: Points, wall: Points, rng: np.random.Generator) -> Surface:
    """A gable of (width, depth, rise) along x with rows of round tiles, and the wall's triangles under it."""
    width, depth, rise = size
    columns = 2 * max(6, int(width / 0.42))
    rows = max(5, int(depth / 0.9))
    parts = []
    for side in (-1, 1):
        t = np.repeat(np.linspace(0, 1, rows + 1), 2)[1:-1]
        x = np.linspace(-width / 2, width / 2, columns + 1)
        lift = np.where(np.arange(len(t)) % 2 == 0, 0.10, 0.0)[:, None] + 0.04 * np.cos(np.arange(columns + 1) * np.pi)
        net = np.stack(np.broadcast_arrays(x[None], side * (1 - t[:, None]) * depth / 2, rise * t[:, None] + lift), -1)
        tone = colour * (1 + 0.16 * rng.normal(size=(len(t), columns + 1, 1))).clip(0.5, 1.5)
        parts.append(grid(net, tone))
    half = depth / 2 - 0.35
    for end in (-width / 2 + 0.36, width / 2 - 0.36):
        parts.append(surface([[end, -half, 0], [end, half, 0], [end, 0, rise * 0.93]], [[0, 1, 2]], wall))
    return join(parts)


def _opening(
    at: tuple[float, float, float], size: tuple[float, float], fill: Points, shutter: Points | None
) -> Surface:
    """A window or door of (width, height), `at` the middle of its sill on a wall that faces -y, with open shutters."""
    (x, front, z), (w, height) = at, (size[0] / 2, size[1])
    parts = [
        box((x - w - 0.1, front - 0.05, z - 0.08), (x + w + 0.1, front + 0.1, z + height + 0.1), paint("#f5ead8")),
        box((x - w, front - 0.08, z), (x + w, front + 0.1, z + height), fill),
        box((x - w - 0.2, front - 0.22, z - 0.16), (x + w + 0.2, front, z - 0.06), paint("#d9c7ab")),
    ]
    if shutter is not None:
        for low in (x - w - 0.62, x + w + 0.14):
            parts.append(box((low, front - 0.12, z - 0.05), (low + 0.48, front, z + height + 0.05), shutter))
    return join(parts)


def _awning(rng: np.random.Generator, width: float) -> Surface:
    """A striped cloth over the ground floor."""
    cloth, stripes = paint(str(rng.choice(["#c23b32", "#2b7a78", "#e0a030"]))), []
    for k, x in enumerate(np.arange(-width * 0.4, width * 0.2, 0.45)):
        points = [[x, -0.05, 0.55], [x + 0.45, -0.05, 0.55], [x + 0.45, -1.6, 0.0], [x, -1.6, 0.0]]
        stripes.append(surface(points, [[0, 2, 1], [0, 3, 2]], paint("#f7ecd8") if k % 2 else cloth))
    return join(stripes)


def _church() -> Surface:
    """A nave with a bell tower and a tiled spire."""
    rng = np.random.default_rng(3)
    wall = paint("#f4e2c2")
    parts = [box((-4.5, -8, -5), (4.5, 8, 7.5), wall, 0.8)]
    parts.append(_roof((17, 10, 3.6), paint("#b24a2c"), wall, rng).moved((0, 0, 7.5), np.pi / 2))
    parts.append(box((-2.4, -11.5, -5), (2.4, -6.7, 13.5), wall, 0.8))
    parts.append(box((-2.7, -11.8, 13.2), (2.7, -6.4, 13.9), wall * 1.05))
    parts.append(box((-2.2, -11.3, 13.9), (2.2, -6.9, 16.6), wall))
    parts.append(box((-2.6, -11.7, 16.5), (2.6, -6.5, 17.0), wall * 1.05))
    parts.append(
        lathe([(3.4, 17.0), (2.9, 17.6), (0.12, 22.4), (0.1, 23.8), (0, 23.9)], paint("#b8502e"), 8).moved((0, -9.1, 0))
    )
    dark = paint("#3a2c2a")
    for z, half in ((14.2, 0.75), (8.6, 0.5)):
        parts.append(box((-half, -11.62, z), (half, -11.2, z + 2.1), dark))
        parts.append(box((-2.52, -9.1 - half, z), (-2.1, -9.1 + half, z + 2.1), dark))
    return join(parts)
