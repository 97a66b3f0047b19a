"""OpenColorIO's processors between the spaces of configurations or of ICC profiles and scene-linear Rec.709."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import PyOpenColorIO as ocio  # type: ignore[import-untyped]

from impasto.core.colour.configuration import BUILT_IN, OCIO_ERRORS, config_at, first_line, path_of
from impasto.core.colour.icc_transform import profile_processors
from impasto.core.colour.plate_spaces import CINEON, PlateSpace
from impasto.core.errors import UsageError

_LINEAR: Final = "lin_rec709_scene"
"""Scene-linear Rec.709 in the built-in configuration."""
_LINEAR_NAMES: Final = ("linear", "lin_rec709", "lin_srgb", "Linear Rec.709 (sRGB)", "Utility - Linear - sRGB")
"""Names by which configurations call linear light of Rec.709."""


@lru_cache(maxsize=32)
def processors(space: PlateSpace) -> tuple[Any, Any]:
    """Plate space to linear, and back, without OpenColorIO's quick logarithms, which are off by 3e-5.

    To linear, PQ and HLG are tables read backwards; the quick search is four times as fast and within 5e-6. From
    linear it would cost Canon's logs 2e-5, so it is not used there, but for the tables of ICC profiles.
    """
    lossless = ocio.OPTIMIZATION_LOSSLESS
    quick_search = ocio.OptimizationFlags(int(lossless) | int(ocio.OPTIMIZATION_LUT_INV_FAST))
    if space == CINEON:
        pair, flags = (_cineon(ocio.TRANSFORM_DIR_INVERSE), _cineon(ocio.TRANSFORM_DIR_FORWARD)), (lossless, lossless)
    elif space.profile:
        pair, flags = profile_processors(space.profile), (lossless, lossless)
    else:
        pair, flags = ocio_processors(space), (quick_search, lossless)
    try:
        forth, back = (
            None if each.isNoOp() else each.getOptimizedCPUProcessor(ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, how)
            for each, how in zip(pair, flags, strict=True)
        )
    except OCIO_ERRORS as error:
        raise _no_conversion(space, error) from error
    return forth, back


def ocio_processors(space: PlateSpace) -> tuple[Any, Any]:
    """OpenColorIO's processors from a space of a configuration to linear, and back."""
    assert space.config is not None
    plate, built_in = config_at(space.config), config_at(BUILT_IN)
    try:
        if space.config == BUILT_IN:
            return built_in.getProcessor(space.name, _LINEAR), built_in.getProcessor(_LINEAR, space.name)
        if _has_interchange(plate):
            return (
                ocio.Config.GetProcessorFromConfigs(plate, space.name, built_in, _LINEAR),
                ocio.Config.GetProcessorFromConfigs(built_in, _LINEAR, plate, space.name),
            )
        meeting = _meeting_place(space)
        if meeting is None:
            raise UsageError(
                f"expected a role {ocio.ROLE_INTERCHANGE_SCENE} or {ocio.ROLE_SCENE_LINEAR} in "
                f"'{path_of(space.config)}', found neither, nor a space called {' or '.join(_LINEAR_NAMES)}; add one "
                f"of the roles, so that '{space.name}' can be converted"
            )
        theirs, ours, _ = meeting
        return (
            ocio.Config.GetProcessorFromConfigs(plate, space.name, theirs, built_in, _LINEAR, ours),
            ocio.Config.GetProcessorFromConfigs(built_in, _LINEAR, ours, plate, space.name, theirs),
        )
    except OCIO_ERRORS as error:
        raise _no_conversion(space, error) from error


def assumption_on(space: PlateSpace) -> str | None:
    """What had to be assumed of a space's configuration, which states no primaries; None for nothing."""
    if space.config in (None, BUILT_IN, CINEON.config) or _has_interchange(config_at(str(space.config))):
        return None
    meeting = _meeting_place(space)
    if meeting is None or not meeting[2]:
        return None
    return (
        f"'{path_of(space.config)}' has no role {ocio.ROLE_INTERCHANGE_SCENE}: its '{meeting[0]}' is taken as linear "
        f"light of Rec.709"
    )


def _has_interchange(config: Any) -> bool:
    return bool(config.hasRole(ocio.ROLE_INTERCHANGE_SCENE) or config.hasRole(ocio.ROLE_INTERCHANGE_DISPLAY))


@lru_cache(maxsize=32)
def _meeting_place(space: PlateSpace) -> tuple[str, str, bool] | None:
    """A space of a configuration without interchange roles, the built-in one that means the same, whether assumed.

    OpenColorIO looks for one by its conversions. Where it finds none the scene-linear role is taken as Rec.709, as in
    the configurations that came with Nuke for years, and after it a space whose name says so. None where neither is.
    """
    config = config_at(str(space.config))
    try:
        theirs, ours = ocio.Config.IdentifyInterchangeSpace(config, space.name, config_at(BUILT_IN), _LINEAR)
    except OCIO_ERRORS:
        found = (config.getColorSpace(name) for name in (ocio.ROLE_SCENE_LINEAR, *_LINEAR_NAMES))
        linear = next(filter(None, found), None)
        return None if linear is None else (linear.getName(), _LINEAR, True)
    return theirs, ours, False


def _no_conversion(space: PlateSpace, error: BaseException) -> UsageError:
    return UsageError(
        f"expected a way from '{space.name}' to scene-linear and back in '{path_of(space.config)}', got: "
        f"{first_line(error)}; choose another --input-space"
    )


def _cineon(direction: Any) -> Any:
    """Linear light to film log: 0.002 density a code value, gamma 0.6, the film's black taken off."""
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    curve = ocio.LogAffineTransform(
        logSideSlope=[0.6 / 0.002 / 1023 * math.log10(2)] * 3,  # OpenColorIO's logarithm is that of base 2
        logSideOffset=[685 / 1023] * 3,
        linSideSlope=[1 - black] * 3,
        linSideOffset=[black] * 3,
        direction=direction,
    )
    return config_at(BUILT_IN).getProcessor(curve)
