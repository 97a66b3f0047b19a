"""The parameters of a style, with the ranges and help texts from which hosts build their controls."""

from __future__ import annotations

import math
from dataclasses import asdict, fields

from impasto.core.errors import UsageError
from impasto.core.frozen_dataclass import frozen_dataclass


@frozen_dataclass
class Parameter:
    """One control: its range, its default, and a tooltip of one sentence."""

    name: str
    minimum: float
    maximum: float
    default: float
    help: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("strength", 0.0, 1.0, 1.0, "How much of the style shows: 0 is the plate, 1 the painted result."),
    Parameter("stroke", 0.25, 4.0, 1.0, "Size of the brush strokes: 2 paints twice as broad."),
    Parameter(
        "colour",
        0.0,
        1.0,
        0.0,
        "How much of the plate's own colour is kept: 1 takes only light and dark from the style.",
    ),
    Parameter("detail", 0.0, 1.0, 0.0, "How much of the plate's fine detail is put back."),
    Parameter(
        "exposure", -8.0, 8.0, 0.0, "Stops by which the style sees the plate brighter or darker; undone in the result."
    ),
    Parameter(
        "keys",
        0.0,
        1.0,
        1.0,
        "How much of the painted keys' own paint is used where the plate shows what they show: 0 is the network alone.",
    ),
)


@frozen_dataclass
class Params:
    """A value for every control; a value outside its range raises UsageError."""

    strength: float = 1.0
    stroke: float = 1.0
    colour: float = 0.0
    detail: float = 0.0
    exposure: float = 0.0
    keys: float = 1.0

    def __post_init__(self) -> None:
        for parameter in PARAMETERS:
            value = getattr(self, parameter.name)
            if not math.isfinite(value) or not parameter.minimum <= value <= parameter.maximum:
                raise UsageError(
                    f"expected {parameter.name} between {parameter.minimum:g} and {parameter.maximum:g}, got {value!r}"
                )

    def as_dict(self) -> dict[str, float]:
        """Name -> value, for headers, cards and logs."""
        return asdict(self)


assert tuple(field.name for field in fields(Params)) == tuple(parameter.name for parameter in PARAMETERS)
