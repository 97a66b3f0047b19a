"""A sphere and a pair of eyes of our own, of exact geometry: what is seen in every direction, at which disparity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples

_HIT = 0.02
"""Disparities of one surface agree to this, in pixels."""


def texture(x: Samples, y: Samples, z: Samples, seed: int = 0) -> Samples:
    """The colour (…, 3) in [0, 1] of a solid pattern of a few octaves; a unit is its coarsest wave."""
    generator = np.random.default_rng(seed)
    colour = np.full((*np.shape(x), 3), 0.5, np.float32)
    for octave in range(5):
        for _ in range(5):
            wave = generator.normal(size=3) * 2.0**octave
            phase = generator.uniform(0, 2 * np.pi, 3)
            swing = (wave[0] * x + wave[1] * y + wave[2] * z)[..., None] * 2.0 + phase
            colour += np.float32(0.11 / 1.5**octave) * np.sin(swing).astype(np.float32)
    return np.clip(colour, 0.02, 0.98)


def sphere(height: int) -> Samples:
    """A lat-long picture (H, 2H, 3) of a pattern that is alike in all directions."""
    latitude = np.pi * (0.5 - (np.arange(height) + 0.5) / height)[:, None]
    longitude = (2 * np.pi * ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5))[None]
    x, y, z = (
        np.cos(latitude) * np.sin(longitude),
        -np.sin(latitude) + 0 * longitude,
        np.cos(latitude) * np.cos(longitude),
    )
    return texture(4 * x, 4 * y, 4 * z)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two eyes, (H, W, 3); of the right one the way to the left one, (H, W, 2), and what both see, (H, W)."""

    left: Samples
    right: Samples
    disparity: Samples
    both: npt.NDArray[np.bool_]


def pair(height: int, width: int, grain: float = 0.0) -> Pair:
    """Two eyes before a wall and three flat discs at other depths; each with grain of its own."""
    unit = width / 960
    planes = [(0.0, 0.0, 1e9, 4.3), (0.3, 0.35, 0.16, 14.6), (0.62, 0.6, 0.2, 22.4), (0.45, 0.75, 0.12, 31.7)]
    eyes, depths = [], []
    for side in (0.5, -0.5):
        y, x = np.mgrid[:height, :width].astype(np.float32)
        picture, depth = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
        for index, (across, down, radius, disparity) in enumerate(planes):
            at = x - np.float32(side * disparity * unit)
            inside = np.hypot(at - across * width, y - down * height) < radius * width
            paint = texture(at / (90 * unit), y / (90 * unit), np.zeros_like(at), seed=index)
            picture[inside], depth[inside] = paint[inside], disparity * unit
        eyes.append(picture)
        depths.append(depth)
    left, right = depths
    columns = np.arange(width, dtype=np.float32) + right
    rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    both = (np.abs(cv2.remap(left, columns, rows, cv2.INTER_NEAREST) - right) < _HIT) & (columns <= width - 1)
    grains = np.random.default_rng(1).normal(0, grain, (2, height, width, 3)).astype(np.float32)
    return Pair(eyes[0] + grains[0], eyes[1] + grains[1], np.dstack((right, 0 * right)), both)
