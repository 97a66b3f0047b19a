"""ICC profiles of one matrix and one curve: which colour space they mean, and profiles made for such a space."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

PROFILE = "ICCProfile"
"""The attribute that holds a picture's profile."""
IN_PROFILE = "icc"
"""The colour space of a frame whose profile says it, and no name does."""
Curve = Literal["sRGB"] | float
"""The curve of IEC 61966-2-1, or a power."""
Primaries = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

D65 = (0.3127, 0.3290)
REC709: Primaries = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
P3_D65: Primaries = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65)
ADOBE_RGB: Primaries = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
REC2020: Primaries = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)
ADOBE_GAMMA = 563 / 256
"""Adobe RGB (1998), section 4.3.4.2."""


@dataclass(frozen=True, slots=True)
class DisplaySpace:
    """RGB of some primaries behind one curve."""

    primaries: Primaries
    curve: Curve


SPACES: Mapping[str, DisplaySpace] = {
    "srgb": DisplaySpace(REC709, "sRGB"),
    "srgb_p3d65_scene": DisplaySpace(P3_D65, "sRGB"),
    "g22_adobergb_scene": DisplaySpace(ADOBE_RGB, ADOBE_GAMMA),
    "g22_rec709_scene": DisplaySpace(REC709, 2.2),
    "lin_rec709": DisplaySpace(REC709, 1.0),
    "lin_p3d65_scene": DisplaySpace(P3_D65, 1.0),
    "lin_adobergb_scene": DisplaySpace(ADOBE_RGB, 1.0),
    "lin_rec2020_scene": DisplaySpace(REC2020, 1.0),
}
"""Our names of colour spaces (those of the Color Interop Forum, where there is no shorter) that a profile can say."""
_SHORTEST_PROFILE = 132
"""Bytes of an ICC profile's header and of the number of its tags (ICC.1:2022, section 7)."""
_SAMPLES = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9])
D50 = np.array([0.9642, 1.0, 0.8249])
_Floats = npt.NDArray[np.float64]


def icc_parses(block: bytes) -> bool:
    """Whether the block has the header of a profile and is as long as that says."""
    if len(block) < _SHORTEST_PROFILE or block[36:40] != b"acsp":
        return False
    return int(struct.unpack_from(">I", block)[0]) <= len(block)


def space_of(primaries: Primaries, curve: Curve, *, tolerance: float = 0.003) -> str | None:
    """The name of a space of these primaries and this curve, None where it has none."""
    light = _light(curve, _SAMPLES)
    for name, space in SPACES.items():
        near = np.allclose(space.primaries, primaries, atol=tolerance)
        if near and np.allclose(_light(space.curve, _SAMPLES), light, atol=0.006):
            return name
    return None


def space_of_profile(profile: bytes) -> str | None:
    """The name of the colour space that a profile means, None for one with tables and for any other than `SPACES`."""
    if not icc_parses(profile) or profile[16:24] != b"RGB XYZ ":
        return None
    try:
        tags = tags_of(profile)
        if b"A2B0" in tags:
            return None
        colorants = np.array([xyz_of(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")])
        curves = [curve_light(tags[name], _SAMPLES) for name in (b"rTRC", b"gTRC", b"bTRC")]
    except (KeyError, struct.error, ValueError, IndexError, ZeroDivisionError):
        return None
    for name, space in SPACES.items():
        light = _light(space.curve, _SAMPLES)
        if np.allclose(colorants, colorants_of(space.primaries), atol=0.002) and all(
            np.allclose(each, light, atol=0.006) for each in curves
        ):
            return name
    return None


def described(profile: bytes) -> str:
    """What a profile calls itself, empty where it does not say."""
    try:
        block = tags_of(profile)[b"desc"]
        if block[:4] == b"desc":
            return block[12 : 11 + struct.unpack_from(">I", block, 8)[0]].decode("latin-1")
        length, start = struct.unpack_from(">II", block, 20)
        return block[start : start + length].decode("utf-16-be", "replace")
    except (KeyError, struct.error):
        return ""


@lru_cache(maxsize=16)
def profile_for(name: str) -> bytes | None:
    """A profile that says one of `SPACES` (ICC.1:2001-04, version 2), None for any other name."""
    space = SPACES.get(name)
    return None if space is None else make_profile(space, name)


def make_profile(space: DisplaySpace, name: str) -> bytes:
    """A profile of a space by primaries and curve, which calls itself `name`."""
    colorants = colorants_of(space.primaries)
    text = name.encode("ascii", "replace") + b"\0"
    if space.curve == "sRGB":
        table = np.rint(_light("sRGB", np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
        curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + table
    else:
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(float(space.curve) * 256)) + b"\0\0"
    blocks = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67),
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": _xyz_block(D50),
        b"rXYZ": _xyz_block(colorants[0]),
        b"gXYZ": _xyz_block(colorants[1]),
        b"bXYZ": _xyz_block(colorants[2]),
        b"rTRC": curve,
    }
    start = 128 + 4 + 12 * (len(blocks) + 2)
    table, body = b"", b""
    for kind, block in blocks.items():
        table += struct.pack(">4sII", kind, start + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    shared = table[-8:]  # green and blue have red's curve
    table += b"gTRC" + shared + b"bTRC" + shared
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz_block(D50)[8:] + bytes(48)
    return header + struct.pack(">I", len(blocks) + 2) + table + body


def tags_of(profile: bytes) -> dict[bytes, bytes]:
    """The tagged blocks of a profile by signature. Raises struct.error."""
    count = struct.unpack_from(">I", profile, 128)[0]
    found = {}
    for index in range(min(count, 100)):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        found[name] = profile[start : start + size]
    return found


def xyz_of(block: bytes) -> list[float]:
    """The three numbers of an XYZ block. Raises struct.error."""
    return [number / 65536 for number in struct.unpack_from(">3i", block, 8)]


def _xyz_block(values: _Floats) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values.tolist()))


def _light(curve: Curve, codes: _Floats) -> _Floats:
    if curve == "sRGB":
        return np.asarray(np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4), np.float64)
    return np.asarray(codes ** float(curve), np.float64)


def curve_light(block: bytes, codes: _Floats) -> _Floats:
    """Light for codes by a curve (ICC.1:2022, sections 10.6 and 10.18)."""
    if block[:4] == b"curv":
        count = struct.unpack_from(">I", block, 8)[0]
        if count == 0:
            return codes
        if count == 1:
            return np.asarray(codes ** (struct.unpack_from(">H", block, 12)[0] / 256), np.float64)
        table = np.frombuffer(block, ">u2", count, 12).astype(np.float64) / 65535
        return np.asarray(np.interp(codes, np.linspace(0, 1, count), table), np.float64)
    if block[:4] != b"para":
        raise ValueError("no curve")
    kind = struct.unpack_from(">H", block, 8)[0]
    count = (1, 3, 4, 5, 7)[kind]
    g, a, b, c, d, e, f = ([n / 65536 for n in struct.unpack_from(f">{count}i", block, 12)] + [0.0] * 6)[:7]
    if kind == 0:
        return np.asarray(codes**g, np.float64)
    if kind in (1, 2):
        above, below, knee = (a * codes + b).clip(0) ** g + (c if kind == 2 else 0), np.full_like(codes, c), -b / a
        return np.asarray(np.where(codes >= knee, above, below if kind == 2 else 0.0), np.float64)
    return np.asarray(np.where(codes >= d, (a * codes + b).clip(0) ** g + e, c * codes + f), np.float64)


def colorants_of(primaries: Primaries) -> _Floats:
    """XYZ of red, green and blue, adapted to D50 by Bradford (ICC.1:2022, annex E.3), one a row."""
    points = np.array(primaries).reshape(4, 2)
    xyz = np.column_stack([points, 1 - points.sum(1)])
    white = xyz[3] / xyz[3, 1]
    scaled = xyz[:3].T * np.linalg.solve(xyz[:3].T, white)
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adapt = np.linalg.inv(cone) @ np.diag((cone @ D50) / (cone @ white)) @ cone
    return np.asarray((adapt @ scaled).T, np.float64)
