"""Everything that decides how a key is painted."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_SIDE = 480.0
"""Square root of a plate's pixels at which lengths below are in pixels: a plate of 640x360."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One pass of the painter with strokes of one size, over what the passes before it have painted."""

    width: float
    """Of a stroke, in units."""
    length: float
    """Of a stroke, in widths."""
    shrink: float
    """By how much the painting is scaled down for its pieces: finer strokes are made of finer paint."""
    spacing: float
    """Between strokes, in widths."""
    error: float
    """Sum over the channels by which the picture may miss its target; 0 sets strokes all over."""
    masking: float
    """How strongly dense detail hides a miss: fine strokes are for what stands alone, an eye or a letter."""
    edge: float
    """Largest channel difference from a stroke's centre up to which the stroke covers the target."""
    structure: float
    """Weight of lights and darks inside a piece beside its mean colour when pieces are matched."""
    contrast: float
    """Of the paint inside a piece; strokes that draw have less."""


LAYERS = (
    Layer(40, 2.2, 0.9, 0.40, 0.00, 3, 0.30, 0.45, 1.15),
    Layer(24, 2.8, 0.9, 0.42, 0.05, 3, 0.22, 0.45, 1.15),
    Layer(13, 3.0, 1.1, 0.45, 0.09, 3, 0.18, 0.45, 1.15),
    Layer(7, 3.2, 1.5, 0.50, 0.10, 4, 0.16, 0.60, 1.0),
    Layer(3.8, 3.0, 2.2, 0.55, 0.08, 8, 0.14, 0.60, 0.8),
    Layer(2.2, 2.6, 3.0, 0.60, 0.06, 12, 0.12, 0.60, 0.6),
)
"""From broad to fine: the first covers the plate, the last draws eyes and letters."""


@dataclass(frozen=True, slots=True)
class PainterSettings:
    """How a painter works; the same settings paint the same picture."""

    stroke: float = 1.0
    """Size of the strokes."""
    colour: float = 0.75
    """How far the painting's colours take the place of the plate's: 0 keeps the plate's, 1 is the painting's alone."""
    tone: float = 0.5
    """How far lights and darks follow the painting's."""
    seed: int = 0
    painting_side: int = 1100
    """Long side of the painting at one unit to a pixel."""
    enlarged: float = 1.5
    """Most by which a painting is scaled up: beyond, its strokes blur."""
    pieces: int = 5000
    """Pieces of the painting for a layer; each is used from both ends."""
    own_colour: float = 0.25
    """How much of a piece's own mean colour is kept beside that of the target: broken colour."""
    layers: tuple[Layer, ...] = LAYERS
