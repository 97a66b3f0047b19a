"""The closed form of a plate space, one curve and one matrix, where it has one: a GPU computes it without a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import PyOpenColorIO as ocio  # type: ignore[import-untyped]

from impasto.core.colour.plate_spaces import CINEON, PlateSpace
from impasto.core.colour.primaries import matrix_to_rec709
from impasto.core.colour.processors import ocio_processors

Rows = tuple[tuple[float, float, float], ...]
"""A 3x3, row by row."""


@dataclass(frozen=True, slots=True)
class LogCurve:
    """A camera's logarithm: code = slope·log2(gain·light + shift) + offset above `knee`, a line below.

    The line is `toe_slope`·light + `toe_offset`; both meet at `knee`, which is a light.
    """

    slope: float
    offset: float
    gain: float
    shift: float
    knee: float
    toe_slope: float
    toe_offset: float


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """A display's power: light = ((code + offset) / (1 + offset)) ** gamma above `knee`, code·toe_slope below.

    `knee` is a code; codes below it, also negative ones, are on the line.
    """

    gamma: float
    offset: float
    knee: float
    toe_slope: float


Curve = Literal["sRGB"] | LogCurve | PowerCurve
"""'sRGB' is the working picture's own curve, `decode` and `encode`, mirrored at 0."""


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """Plate to scene-linear Rec.709: the curve, None for light, then the matrix, None for Rec.709 itself; and back."""

    curve: Curve | None
    to_rec709: Rows | None
    from_rec709: Rows | None


@lru_cache(maxsize=32)
def closed_form(space: PlateSpace) -> ClosedForm | None:
    """The space as a curve and a matrix, agreeing with `to_linear` and `from_linear` to their own precision.

    None for a space that needs more (tables, PQ, HLG, film), or whose form OpenColorIO does not state.
    """
    if space.is_working:
        return ClosedForm("sRGB", None, None)
    if space.chromaticities is not None:
        matrix = matrix_to_rec709(space.chromaticities)
        return _with_matrix(None, None if np.array_equal(matrix, np.eye(3)) else matrix)
    if space == CINEON or space.profile:
        return None
    steps = list(_steps(space))
    curve: Curve | None = None
    if steps and not isinstance(steps[0], ocio.MatrixTransform):
        curve = _curve(steps.pop(0))
        if curve is None:
            return None
    if len(steps) > 1 or not all(_is_plain_matrix(step) for step in steps):
        return None
    return _with_matrix(curve, np.array(steps[0].getMatrix()).reshape(4, 4)[:3, :3] if steps else None)


def _steps(space: PlateSpace) -> Iterable[Any]:
    forth, _ = ocio_processors(space)
    steps: Iterable[Any] = forth.getOptimizedProcessor(ocio.OPTIMIZATION_LOSSLESS).createGroupTransform()
    return steps


def _curve(step: Any) -> Curve | None:
    if isinstance(step, ocio.LogCameraTransform):
        return _log_curve(step)
    if isinstance(step, ocio.ExponentWithLinearTransform):
        return _power_curve(step)
    if isinstance(step, ocio.ExponentTransform):
        return _plain_power(step)
    return None


def _log_curve(step: Any) -> LogCurve | None:
    """OpenColorIO's LogCamera, read backwards: equations in its documentation of LogCameraTransform."""
    facts = [step.getLogSideSlopeValue(), step.getLogSideOffsetValue(), step.getLinSideSlopeValue()]
    facts += [step.getLinSideOffsetValue(), step.getLinSideBreakValue()]
    if step.getDirection() != ocio.TRANSFORM_DIR_INVERSE or any(len(set(fact)) > 1 for fact in facts):
        return None
    slope, offset, gain, shift, knee = (fact[0] for fact in facts)
    slope /= math.log2(step.getBase())
    at_knee = gain * knee + shift
    given = step.getLinearSlopeValue() if step.isLinearSlopeValueSet() else None
    toe_slope = given[0] if given else slope * gain / (at_knee * math.log(2))
    toe_offset = slope * math.log2(at_knee) + offset - toe_slope * knee
    return LogCurve(slope, offset, gain, shift, knee, toe_slope, toe_offset)


def _power_curve(step: Any) -> PowerCurve | None:
    """OpenColorIO's monitor curve: a power and the line that touches it."""
    gammas, offsets = step.getGamma()[:3], step.getOffset()[:3]
    forward = step.getDirection() == ocio.TRANSFORM_DIR_FORWARD and step.getNegativeStyle() == ocio.NEGATIVE_LINEAR
    if not forward or len({*gammas}) > 1 or len({*offsets}) > 1 or gammas[0] <= 1 or offsets[0] <= 0:
        return None
    gamma, offset = gammas[0], offsets[0]
    knee = offset / (gamma - 1)
    return PowerCurve(gamma, offset, knee, ((knee + offset) / (1 + offset)) ** gamma / knee)


def _plain_power(step: Any) -> PowerCurve | None:
    gammas = step.getValue()[:3]
    forward = step.getDirection() == ocio.TRANSFORM_DIR_FORWARD and step.getNegativeStyle() == ocio.NEGATIVE_PASS_THRU
    return PowerCurve(gammas[0], 0.0, 0.0, 1.0) if forward and len({*gammas}) == 1 else None


def _is_plain_matrix(step: Any) -> bool:
    return (
        isinstance(step, ocio.MatrixTransform)
        and step.getDirection() == ocio.TRANSFORM_DIR_FORWARD
        and not any(step.getOffset())
    )


def _with_matrix(curve: Curve | None, matrix: Any) -> ClosedForm:
    if matrix is None:
        return ClosedForm(curve, None, None)
    return ClosedForm(curve, _rows(matrix), _rows(np.linalg.inv(matrix)))


def _rows(matrix: Any) -> Rows:
    return tuple((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
