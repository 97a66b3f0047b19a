"""ICC profiles with tables, made for tests: a camera by its primaries and its power, in every type of table."""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

from impasto.core.icc import D50, DisplaySpace, colorants_of

CAMERA = DisplaySpace((0.7, 0.3, 0.2, 0.75, 0.14, 0.04, 0.34, 0.36), 1.8)
SIDE = 33
Table = Literal["mft1", "mft2", "mAB8", "mAB16"]


def camera_xyz(rgb: np.ndarray) -> np.ndarray:
    """What the camera's RGB means, as XYZ at D50."""
    return np.asarray(rgb ** float(CAMERA.curve) @ colorants_of(CAMERA.primaries))


def lab_of(xyz: np.ndarray) -> np.ndarray:
    """CIE 15:2018, section 8.2.1."""
    part = xyz / D50
    f = np.where(part > (6 / 29) ** 3, np.cbrt(part), part / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def table_profile(kind: Table, connection: Literal["XYZ ", "Lab "]) -> bytes:
    """A profile of the camera whose A2B0 has this type; lut8Type knows no XYZ."""
    axis = np.linspace(0, 1, SIDE)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    # The curves before the table take the power off, so that a table of XYZ is exact between its points.
    xyz = grid @ colorants_of(CAMERA.primaries)
    if connection == "XYZ ":
        codes = xyz * 32768 / 65535
    else:
        scale = 65280 / 65535 if kind == "mft2" else 1.0
        lab = lab_of(xyz)
        codes = np.stack([lab[:, 0] / 100, (lab[:, 1] + 128) / 255, (lab[:, 2] + 128) / 255], axis=1) * scale
    return _profile(connection, {"mft1": _mft1, "mft2": _mft2, "mAB8": _mab8, "mAB16": _mab16}[kind](codes.clip(0, 1)))


def grey_profile(power: float) -> bytes:
    """A profile of grey by a power, as photographs in grey bear it."""
    return _profile("XYZ ", b"", space=b"GRAY", extra={b"kTRC": _power(power)})


def _power(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256)) + b"\0\0"


def _mft1(codes: np.ndarray) -> bytes:
    head = b"mft1\0\0\0\0" + bytes([3, 3, SIDE, 0]) + struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    before = np.rint(255 * np.linspace(0, 1, 256) ** float(CAMERA.curve)).astype(np.uint8).tobytes()
    return head + 3 * before + np.rint(codes * 255).astype(np.uint8).tobytes() + 3 * bytes(range(256))


def _mft2(codes: np.ndarray) -> bytes:
    head = b"mft2\0\0\0\0" + bytes([3, 3, SIDE, 0]) + struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    before = np.rint(65535 * np.linspace(0, 1, 4096) ** float(CAMERA.curve)).astype(">u2").tobytes()
    after = np.array([0, 65535], ">u2").tobytes()
    table = np.rint(codes * 65535).astype(">u2").tobytes()
    return head + struct.pack(">2H", 4096, 2) + 3 * before + table + 3 * after


def _mab8(codes: np.ndarray) -> bytes:
    return _mab(np.rint(codes * 255).astype(np.uint8).tobytes(), 1)


def _mab16(codes: np.ndarray) -> bytes:
    return _mab(np.rint(codes * 65535).astype(">u2").tobytes(), 2)


def _mab(table: bytes, precision: int) -> bytes:
    """A curves, table, M curves, matrix, B curves: the last three change nothing."""
    plain = b"curv" + bytes(8)
    matrix = struct.pack(">12i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536, 0, 0, 0))
    grid = bytes([SIDE] * 3) + bytes(13) + bytes([precision, 0, 0, 0]) + table
    blocks = [3 * plain, matrix, 3 * plain, grid + bytes(-len(grid) % 4), 3 * _power(float(CAMERA.curve))]
    starts, at = [], 32
    for block in blocks:
        starts.append(at)
        at += len(block)
    return b"mAB \0\0\0\0" + bytes([3, 3, 0, 0]) + struct.pack(">5I", *starts) + b"".join(blocks)


def _profile(
    connection: str, table: bytes, *, space: bytes = b"RGB ", extra: dict[bytes, bytes] | None = None
) -> bytes:
    text = b"a camera with tables\0"
    blocks = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in D50.tolist())),
        **({b"A2B0": table} if table else {}),
        **(extra or {}),
    }
    start = 128 + 4 + 12 * len(blocks)
    entries, body = b"", b""
    for name, block in blocks.items():
        entries += struct.pack(">4sII", name, start + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    version = 0x04200000 if table[:4] == b"mAB " else 0x02400000
    head = struct.pack(
        ">I4sI4s4s4s",
        start + len(body),
        b"\0\0\0\0",
        version,
        b"scnr" if table else b"mntr",
        space,
        connection.encode(),
    )
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in D50.tolist())) + bytes(48)
    return head + struct.pack(">I", len(blocks)) + entries + body
