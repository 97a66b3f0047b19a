"""The options of a painter, for `impasto paint` and `impasto train keyframes`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from impasto.training.painter.settings import PainterSettings

KEY_COUNT = 3
"""Frames that are painted where nobody chooses them."""

KeyCount: TypeAlias = Annotated[
    int,
    typer.Option("--key-count", metavar="N", min=1, max=100, help="Frames to paint, chosen to show most of the shot."),
]
Stroke: TypeAlias = Annotated[
    float, typer.Option("--stroke", metavar="X", min=0.25, max=4.0, help="Size of the strokes; 2 is twice as broad.")
]
PaintColour: TypeAlias = Annotated[
    float,
    typer.Option(
        "--colour", metavar="0..1", min=0.0, max=1.0, help="The painting's colours; 0 keeps those of the plate."
    ),
]


@dataclass(frozen=True, slots=True)
class PainterWishes:
    """What a user asks of a painter; `input_space` names the colour space of float plates that do not say."""

    painting: Path
    stroke: float = 1.0
    colour: float = 0.75
    seed: int = 0
    input_space: str | None = None

    @property
    def settings(self) -> PainterSettings:
        """The same as settings of the painter."""
        from impasto.training.painter.settings import PainterSettings

        return PainterSettings(stroke=self.stroke, colour=self.colour, seed=self.seed)
