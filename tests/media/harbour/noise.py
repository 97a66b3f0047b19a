"""Seeded noise on the plane: the same numbers on every machine, without a noise library."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float64]


def value_noise(x: ArrayLike, y: ArrayLike, seed: int = 0) -> Field:
    """Smooth noise in -1..1 with features of size one; any two broadcastable coordinate arrays."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    u, v = x - column, y - row
    u, v = u**3 * (u * (u * 6 - 15) + 10), v**3 * (v * (v * 6 - 15) + 10)
    near = _lattice(column, row, seed) * (1 - u) + _lattice(column + 1, row, seed) * u
    far = _lattice(column, row + 1, seed) * (1 - u) + _lattice(column + 1, row + 1, seed) * u
    mixed: Field = near * (1 - v) + far * v
    return mixed


def fbm(x: ArrayLike, y: ArrayLike, octaves: int = 4, seed: int = 0, gain: float = 0.5) -> Field:
    """Layered noise, about -1..1: each octave has half the size and `gain` times the height of the last."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    layers = [gain**k * value_noise(x * 2.03**k, y * 2.03**k, seed + 17 * k) for k in range(octaves)]
    total: Field = np.sum(layers, axis=0)
    return total / sum(gain**k for k in range(octaves))


def smoothstep(low: float, high: float, x: ArrayLike) -> Field:
    """0 at or before `low`, 1 at or after `high`, without a corner between; `low` may be the greater."""
    t = np.clip((np.asarray(x, np.float64) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _lattice(column: NDArray[np.int64], row: NDArray[np.int64], seed: int) -> Field:
    """One value in -1..1 for each whole coordinate pair (an integer hash)."""
    salt = np.uint64((seed * 2246822519 + 3266489917) & 0xFFFFFFFF)
    low = np.uint64(0xFFFFFFFF)
    east, north = (np.asarray(c).astype(np.uint64) & low for c in (column, row))
    h = (east * np.uint64(374761393)) ^ (north * np.uint64(668265263))
    h = ((h & low) + salt) & low
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(2246822519)) & low
    h = ((h ^ (h >> np.uint64(13))) * np.uint64(3266489917)) & low
    return np.asarray((h ^ (h >> np.uint64(16))).astype(np.float64) / 2147483647.5 - 1)
