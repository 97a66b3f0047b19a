"""Primaries and white of linear light, and the matrices between them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Chromaticities = tuple[float, ...]
"""x and y of red, green, blue and white: eight numbers, as in the OpenEXR attribute of that name."""

REC709: Final[Chromaticities] = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""ITU-R BT.709-6, items 1.3 and 1.4."""

_XYZ_PRIMARIES: Final = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def span_a_space(chromaticities: Chromaticities) -> bool:
    """Whether the primaries make a triangle with the white inside it, and the white has light."""
    if len(chromaticities) != 8 or not np.isfinite(chromaticities).all() or chromaticities[7] < 1e-3:
        return False
    corners = np.array(chromaticities).reshape(4, 2)
    sides = np.column_stack([corners, np.ones(4)])
    if abs(np.linalg.det(sides[:3])) < 1e-3:
        return False
    return bool((np.linalg.solve(sides[:3].T, sides[3]) > 0).all())


@lru_cache(maxsize=32)
def matrix_to_rec709(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    """The 3x3 from linear light of these primaries to Rec.709, white to white by Bradford.

    Primaries of X, Y and Z mean that the samples are tristimulus values, of whatever white: these are
    not adapted, as OpenEXR's own display does (its test pictures Chromaticities/XYZ and Rec709 agree so).
    """
    if chromaticities == REC709:
        return np.eye(3)
    source, target = _rgb_to_xyz(chromaticities), _rgb_to_xyz(REC709)
    if np.allclose(chromaticities[:6], _XYZ_PRIMARIES, atol=1e-4):
        adaptation = np.eye(3)
    else:
        adaptation = _bradford(source.sum(axis=1), target.sum(axis=1))
    return inverse(target) @ adaptation @ source


@lru_cache(maxsize=32)
def matrix_from_rec709(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    """The inverse of `matrix_to_rec709`."""
    return inverse(matrix_to_rec709(chromaticities))


def _rgb_to_xyz(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    """SMPTE RP 177-1993, section 3.3: the normalised primary matrix."""
    red, green, blue, white = (
        (x, y, 1 - x - y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    primaries = np.array([red, green, blue]).T
    scale = np.linalg.solve(primaries, np.array(white) / white[1])
    return np.asarray(primaries * scale, np.float64)


def _bradford(source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Adaptation from one white (XYZ) to another (Lam 1985; the matrix as in ICC.1:2022, annex E.3)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.asarray(inverse(cone) @ np.diag((cone @ target) / (cone @ source)) @ cone, np.float64)


def inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse of a matrix."""
    return np.asarray(np.linalg.inv(matrix), np.float64)
