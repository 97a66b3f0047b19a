"""A painter: one palette and the pieces of one painting, for every picture of a shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.training.data.teacher_plates import load_picture
from impasto.training.painter.picture import Painted, paint_picture
from impasto.training.painter.pieces import Pieces, cut_pieces
from impasto.training.painter.settings import UNIT_SIDE, PainterSettings
from impasto.training.painter.strokes import Strokes
from impasto.training.teachers.palette import Palette, fit_palette

SMALLEST_SIDE = 128
"""Pixels on a side of a painting below which it holds no brushwork."""
LARGEST_SIDE = 4096
"""Long side at which a painting is read."""
SMALLEST_PLATE = 16
"""Pixels on a side of a plate below which there is nothing to paint."""
SMALLEST_UNIT = 0.15
"""Pixels of a unit below which a painting would be scaled down to nothing: strokes on tiny plates are broader."""
GREY = 0.02
"""Mean difference between the channels of a painting below which it has no colour."""


@dataclass(frozen=True, slots=True)
class KeyPainter:
    """What paints all pictures of a size alike."""

    settings: PainterSettings
    palette: Palette
    pieces: tuple[Pieces, ...]
    unit: float

    def target(self, plate: Samples) -> Samples:
        """A plate (H, W, 3), working space, in the painting's colours."""
        return np.asarray(np.clip(self.palette.apply(plate), 0, 1), np.float32)

    def paint(self, target: Samples, carried: Sequence[Strokes] | None = None) -> Painted:
        """Paint what `target` gives; see `paint_picture`."""
        return paint_picture(target, self.pieces, self.unit, self.settings, carried)


def load_painting(path: Path) -> Samples:
    """A painting (H, W, 3), working space; TrainingError for what is no picture or too small to hold brushwork."""
    painting = load_picture(path, LARGEST_SIDE)
    if min(painting.shape[:2]) < SMALLEST_SIDE:
        raise TrainingError(
            f"expected a painting of at least {SMALLEST_SIDE} pixels on each side, '{path}' has "
            f"{painting.shape[1]}x{painting.shape[0]}; find a larger picture of it"
        )
    return painting


def fit_painter(
    painting: Samples, plates: Sequence[Samples], size: tuple[int, int], settings: PainterSettings
) -> KeyPainter:
    """A painter for plates of (height, width), its one palette fitted on some of them; all (H, W, 3), working space.

    TrainingError for plates that are too small to paint.
    """
    if min(size) < SMALLEST_PLATE:
        raise TrainingError(
            f"expected plates of at least {SMALLEST_PLATE} pixels on each side, got {size[1]}x{size[0]}; "
            "render them larger"
        )
    palette = fit_palette(plates, [painting], tone=settings.tone, hue=settings.colour)
    unit = unit_of(size, settings)
    by = min(settings.enlarged, unit * settings.painting_side / max(painting.shape[:2]))
    how = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(painting, None, fx=by, fy=by, interpolation=how), np.float32)
    pieces = tuple(cut_pieces(scaled, layer, unit, settings) for layer in settings.layers)
    return KeyPainter(settings, palette, pieces, unit)


def unit_of(size: tuple[int, int], settings: PainterSettings) -> float:
    """Pixels of a unit on plates of (height, width)."""
    return max(SMALLEST_UNIT, settings.stroke * float(np.sqrt(size[0] * size[1])) / UNIT_SIDE)


def painting_notes(painting: Samples, size: tuple[int, int], settings: PainterSettings) -> list[str]:
    """What a person should know of a painting before it is used on plates of (height, width)."""
    notes = []
    if float(np.ptp(painting, axis=2).mean()) < GREY:
        notes.append("the painting has no colour: so will be the keys, as far as --colour says; 0 keeps the plate's")
    largest, wanted = max(painting.shape[:2]), unit_of(size, settings) * settings.painting_side
    if settings.enlarged * largest < 0.75 * wanted:
        notes.append(
            f"the painting is {largest} pixels long, which makes its brushwork small on these plates; a picture of "
            f"{round(wanted / settings.enlarged)} pixels would give broader strokes"
        )
    return notes
