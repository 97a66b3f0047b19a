# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters as properties of the scene, `scene.impasto`, made from the table that every host uses."""

from __future__ import annotations

import math
from typing import Any, Final

import bpy

from impasto.core.params import PARAMETERS, Parameter

from ..connection import current
from ..registration import ModuleRegistration
from ..ui import thumbnails
from ..versions import animation_curves

TITLES: Final = {"colour": "Keep colour", "detail": "Keep detail"}
"""Titles of the sliders where the parameter's name does not say enough."""
MATTES: Final = (
    ("NONE", "None", "The style everywhere", "X", 0),
    ("STRIP", "Strip", "Where another strip is white, the style shows; where it is black, the plate", "SEQUENCE", 1),
    ("FILES", "Images", "The same with numbered pictures, or one picture for all frames", "FILE_IMAGE", 2),
)
RANGES: Final = (
    ("STRIP", "Strip", "All frames that the strip shows", "SEQUENCE", 0),
    ("PREVIEW", "Preview range", "The frames of the preview range, as far as the strip shows them", "PREVIEW_RANGE", 1),
    ("CUSTOM", "Frames", "From one frame of the timeline to another", "TIME", 2),
)


def _chosen(settings: Any) -> int:
    return thumbnails.number_of(settings.style_name)


def _choose(settings: Any, number: int) -> None:
    """Choose a style, and set its defaults on the sliders that are at the defaults of the style before."""
    chosen, before = thumbnails.name_of(number), _defaults_of(settings.style_name)
    if not chosen or chosen == settings.style_name:
        return
    settings.style_name = chosen
    for name, default in _defaults_of(chosen).items():
        if math.isclose(getattr(settings, name), before[name], abs_tol=1e-6):
            setattr(settings, name, default)


def _defaults_of(style: str) -> dict[str, float]:
    facts = next((each for each in current().styles() if each.name == style), None)
    own = {} if facts is None else facts.defaults
    return {each.name: own.get(each.name, each.default) for each in PARAMETERS}


class ImpastoSettings(bpy.types.PropertyGroup):
    """Everything that is set in the panel."""

    style: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Style",
        description="The style, from the library of the render server",
        items=thumbnails.items,
        get=_chosen,
        set=_choose,
    )
    style_name: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Style", description="The style's name in the library", options={"HIDDEN"}
    )
    matte: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Matte", description="Where the style shows", items=MATTES, default="NONE"
    )
    matte_strip: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Strip", description="The strip whose brightness is the strength of the style, pixel by pixel"
    )
    matte_files: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Images",
        description="A picture, or the first of a numbered sequence that bears the numbers of the strip's frames",
        subtype="FILE_PATH",
    )
    range: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Range", description="Which frames are painted", items=RANGES, default="STRIP"
    )
    first: bpy.props.IntProperty(name="First", description="First frame of the timeline", default=1)  # type: ignore[valid-type]
    last: bpy.props.IntProperty(name="Last", description="Last frame of the timeline", default=250)  # type: ignore[valid-type]


def _slider(parameter: Parameter) -> Any:
    return bpy.props.FloatProperty(
        name=TITLES.get(parameter.name, parameter.name.capitalize()),
        description=parameter.help.rstrip("."),
        min=parameter.minimum,
        max=parameter.maximum,
        default=parameter.default,
        step=5,
        precision=2,
        subtype="FACTOR" if (parameter.minimum, parameter.maximum) == (0.0, 1.0) else "NONE",
        options={"ANIMATABLE"},
    )


# The rows of the table become properties beside those above, so that the command line and Blender agree.
for _parameter in PARAMETERS:
    ImpastoSettings.__annotations__[_parameter.name] = _slider(_parameter)


def values_at(settings: Any, frame: float | None = None) -> dict[str, float]:
    """Every parameter as it is set, or as its curve has it at a frame of the timeline; the scene is not moved."""
    return {each.name: value_at(settings, each.name, frame) for each in PARAMETERS}


def value_at(settings: Any, name: str, frame: float | None) -> float:
    """One parameter at a frame, clamped to its range as Blender does; without a curve, or a frame, its value now."""
    value = float(getattr(settings, name))
    if frame is not None and (curve := _curve_of(settings, name)) is not None:
        value = float(curve.evaluate(frame))
    parameter = next(each for each in PARAMETERS if each.name == name)
    return min(max(value, parameter.minimum), parameter.maximum)


def is_animated(settings: Any) -> bool:
    """Whether a parameter changes from frame to frame."""
    return any(_curve_of(settings, each.name) is not None for each in PARAMETERS)


def take_defaults(settings: Any) -> None:
    """Set all sliders to the defaults of the chosen style's card."""
    for name, default in _defaults_of(settings.style_name).items():
        setattr(settings, name, default)


def _curve_of(settings: Any, name: str) -> Any:
    animation = settings.id_data.animation_data
    if animation is None or animation.action is None:
        return None
    path = settings.path_from_id(name)
    return next((curve for curve in animation_curves(animation) if curve.data_path == path), None)


_registration: Final = ModuleRegistration((ImpastoSettings,), {"impasto": ImpastoSettings})
register, unregister = _registration.register, _registration.unregister
