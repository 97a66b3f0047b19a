"""ICC profiles as transforms of OpenColorIO, which computes them in floating point and backwards too."""

from __future__ import annotations

from typing import Any

import numpy as np
import PyOpenColorIO as ocio  # type: ignore[import-untyped]

from impasto.core.colour.configuration import BUILT_IN, config_at
from impasto.core.colour.primaries import inverse
from impasto.core.icc import D50, REC709, colorants_of
from impasto.core.icc_stages import Curves, Grid, Matrix, Stage, stages_of


def profile_processors(profile: bytes) -> tuple[Any, Any]:
    """From the RGB of an ICC profile to linear light of Rec.709, and back."""
    stages = stages_of(profile)
    assert stages is not None
    steps = [_step(stage) for stage in stages]
    to_rec709 = inverse(colorants_of(REC709).T)  # both are seen in the light of D50
    group = ocio.GroupTransform([step for each in steps for step in each] + [_matrix(to_rec709)])
    config = config_at(BUILT_IN)
    return config.getProcessor(group), config.getProcessor(group, ocio.TRANSFORM_DIR_INVERSE)


def _step(stage: Stage) -> list[Any]:
    if isinstance(stage, Curves):
        curves = ocio.Lut1DTransform(len(stage.table), False)
        curves.setData(np.ascontiguousarray(stage.table, np.float32).ravel())
        return [curves]
    if isinstance(stage, Grid):
        grid = ocio.Lut3DTransform(len(stage.table))
        grid.setInterpolation(ocio.INTERP_TETRAHEDRAL)
        grid.setData(np.ascontiguousarray(stage.table, np.float32).ravel())
        return [grid]
    if isinstance(stage, Matrix):
        return [_matrix(stage.rows, stage.offset)]
    # CIE 15:2018, section 8.2.1, with L* in hundredths: a power of three and the line that touches it.
    to_thirds = np.array([[0.01, 116 / 50000, 0], [0.01, 0, 0], [0.01, 0, -116 / 20000]])
    cube = ocio.ExponentWithLinearTransform(
        gamma=[3, 3, 3, 1], offset=[0.16, 0.16, 0.16, 0], negativeStyle=ocio.NEGATIVE_LINEAR
    )
    return [_matrix(to_thirds), cube, _matrix(np.diag(D50))]


def _matrix(rows: Any, offset: Any = (0, 0, 0)) -> Any:
    whole = np.eye(4)
    whole[:3, :3] = rows
    return ocio.MatrixTransform(whole.ravel().tolist(), [*map(float, offset), 0.0])
