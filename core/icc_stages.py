"""What an ICC profile does to device RGB on the way to XYZ, step by step, for profiles that no name stands for.

That is a matrix behind curves, the tables of a camera or a scanner (A2B0: lut8Type, lut16Type and lutAToBType of
ICC.1:2022, sections 10.10 to 10.12), or the one curve of a grey picture. Black stays where the profile puts it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from impasto.core.icc import D50, curve_light, icc_parses, tags_of, xyz_of

_Floats = npt.NDArray[np.float64]
_FINE = 65536
"""Steps of a curve, one for each code of 16 bits."""
_XYZ_ONE = 65535 / 32768
"""What the greatest code of XYZ stands for (u1Fixed15Number)."""
_LARGEST_GRID = 129


@dataclass(frozen=True, slots=True)
class Curves:
    """(steps, 3): one curve for each channel, over [0, 1]."""

    table: _Floats


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows, and what is added."""

    rows: _Floats
    offset: _Floats


@dataclass(frozen=True, slots=True)
class Grid:
    """(n, n, n, 3): a table by the first channel, the second and the third."""

    table: _Floats


@dataclass(frozen=True, slots=True)
class LabToXyz:
    """L* a* b* to XYZ whose white is that of D50."""


Stage = Curves | Matrix | Grid | LabToXyz


@lru_cache(maxsize=8)
def stages_of(profile: bytes) -> tuple[Stage, ...] | None:
    """The way from RGB (or three equal channels of grey) in [0, 1] to XYZ at D50; None for another kind of profile."""
    if not icc_parses(profile):
        return None
    try:
        stages = _stages_in(profile[16:20], profile[20:24], tags_of(profile))
    except (KeyError, struct.error, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None
    tables = [each.table for each in stages if isinstance(each, Curves | Grid)]
    return stages if all(np.isfinite(table).all() for table in tables) else None


def has_tables(profile: bytes) -> bool:
    """Whether colours go through a table, which leads no way back that can be relied on."""
    return any(isinstance(stage, Grid) for stage in stages_of(profile) or ())


def _stages_in(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> tuple[Stage, ...]:
    if space == b"GRAY":
        return _grey(tags[b"kTRC"])
    if space != b"RGB " or connection not in (b"XYZ ", b"Lab "):
        raise ValueError("no profile of RGB")
    if b"A2B0" in tags:
        lab, block = connection == b"Lab ", tags[b"A2B0"]
        return _table_of(block, lab=lab) if block[:4] in (b"mft1", b"mft2") else _steps_of(block, lab=lab)
    if connection == b"Lab ":
        raise ValueError("no tables")
    return _matrix_of(tags)


def _grey(block: bytes) -> tuple[Stage, ...]:
    curve = curve_light(block, np.linspace(0, 1, _FINE))
    return (Curves(np.repeat(curve[:, None], 3, axis=1)), Matrix(np.diag(D50), np.zeros(3)))


def _matrix_of(tags: dict[bytes, bytes]) -> tuple[Stage, ...]:
    codes = np.linspace(0, 1, _FINE)
    curves = np.column_stack([curve_light(tags[name], codes) for name in (b"rTRC", b"gTRC", b"bTRC")])
    rows = np.column_stack([xyz_of(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")])
    if abs(np.linalg.det(rows)) < 1e-6:
        raise ValueError("no colours")
    return (Curves(curves), Matrix(rows, np.zeros(3)))


def _table_of(block: bytes, *, lab: bool) -> tuple[Stage, ...]:
    """lut8Type and lut16Type: curves, a table, curves. Their matrix is for XYZ on the device's side."""
    inputs, outputs, side = block[8], block[9], block[10]
    if (inputs, outputs) != (3, 3):
        raise ValueError("not three channels")
    wide = block[:4] == b"mft2"
    before, after = struct.unpack_from(">2H", block, 48) if wide else (256, 256)
    start, kind = (52, ">u2") if wide else (48, ">u1")
    sizes = [3 * before, 3 * side**3, 3 * after]
    values = np.frombuffer(block, kind, sum(sizes), start).astype(np.float64) / (65535 if wide else 255)
    first, middle, last = np.split(values, np.cumsum(sizes)[:-1])
    stages: list[Stage] = [Curves(first.reshape(3, before).T), _grid(middle, side), Curves(last.reshape(3, after).T)]
    # The 16-bit Lab of these tables has its white at 65280, and a* and b* at 32768 for 0, in every version.
    unit = 65535 / 65280 if wide else 1.0
    middle_code = 32768 / 65280 if wide else 128 / 255
    return (*stages, *_connection(lab, unit, middle_code))


def _steps_of(block: bytes, *, lab: bool) -> tuple[Stage, ...]:
    """lutAToBType: A curves, table, M curves, matrix, B curves, of which all but the last may be missing."""
    if block[:4] != b"mAB " or (block[8], block[9]) != (3, 3):
        raise ValueError("not three channels")
    b, matrix, m, table, a = struct.unpack_from(">5I", block, 12)
    stages: list[Stage] = []
    if a:
        stages.append(_curves_at(block, a))
    if table:
        sides, precision = set(block[table : table + 3]), block[table + 16]
        if len(sides) != 1 or precision not in (1, 2):
            raise ValueError("a table of unequal sides")
        side = sides.pop()
        kind = ">u1" if precision == 1 else ">u2"
        values = np.frombuffer(block, kind, 3 * side**3, table + 20) / float((1 << 8 * precision) - 1)
        stages.append(_grid(values, side))
    if m:
        stages.append(_curves_at(block, m))
    if matrix:
        numbers = np.array(struct.unpack_from(">12i", block, matrix)) / 65536
        stages.append(Matrix(numbers[:9].reshape(3, 3), numbers[9:]))
    stages.append(_curves_at(block, b))
    return (*stages, *_connection(lab, 1.0, 128 / 255))


def _connection(lab: bool, unit: float, neutral: float) -> tuple[Stage, ...]:
    """From codes in [0, 1] to XYZ. `unit` is L* of 100 by the greatest code, `neutral` a* of 0 in such units."""
    if not lab:
        return (Matrix(np.eye(3) * _XYZ_ONE, np.zeros(3)),)
    chroma = 255.0 * unit
    to_lab = Matrix(np.diag([100.0 * unit, chroma, chroma]), np.array([0.0, -255.0 * neutral, -255.0 * neutral]))
    return (to_lab, LabToXyz())


def _grid(values: _Floats, side: int) -> Grid:
    if not 2 <= side <= _LARGEST_GRID:
        raise ValueError("a table of too many sides")
    return Grid(values.reshape(side, side, side, 3))


def _curves_at(block: bytes, start: int) -> Curves:
    """Three curves one after the other, each at a multiple of four bytes."""
    codes = np.linspace(0, 1, _FINE)
    found = []
    for _ in range(3):
        found.append(curve_light(block[start:], codes))
        start += _curve_bytes(block[start:])
    return Curves(np.column_stack(found))


def _curve_bytes(block: bytes) -> int:
    size: int
    if block[:4] == b"curv":
        size = 12 + 2 * struct.unpack_from(">I", block, 8)[0]
    else:
        size = 12 + 4 * (1, 3, 4, 5, 7)[struct.unpack_from(">H", block, 8)[0]]
    return -(-size // 4) * 4
