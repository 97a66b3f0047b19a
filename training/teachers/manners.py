"""Manners: filters that paint a plate without a network. The built-in styles learned from them.

A manner is a function of the plate, and of the one palette of the style if its colours come from a painting. It is
repeatable and local: a result hardly depends on pixels more than 80 away, and never on any more than 200 away. So a
small generator can learn it, and the paint moves with the plate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.teachers.brushwork import brushed, crisp, restated
from impasto.training.teachers.flat_colour import flattened, retoned, smooth, stepped
from impasto.training.teachers.lines import drawn_lines
from impasto.training.teachers.palette import LUMA, Palette
from impasto.training.teachers.strokes import StrokeSettings, paint, smear, stroke_direction

PAPER = np.array([0.965, 0.95, 0.915], np.float32)
SUMI = np.array([0.07, 0.075, 0.10], np.float32)
"""Black of soot ink, a little blue."""
DILUTED = np.array([0.47, 0.52, 0.58], np.float32)
"""The same ink in much water."""
CONTOUR = np.array([0.09, 0.06, 0.12], np.float32)
KEY_BLOCK = np.array([0.10, 0.17, 0.30], np.float32)
"""Prussian blue, in which the lines of a woodblock are printed."""
WASHI = np.array([0.97, 0.92, 0.80], np.float32)
"""Unbleached paper of a woodblock print."""
GRAPHITE = np.array([0.13, 0.13, 0.15], np.float32)
DRAWING_PAPER = np.array([0.97, 0.965, 0.945], np.float32)
GOUACHE_DARK, GOUACHE_LIGHT = np.array([0.085, 0.075, 0.12], np.float32), np.array([0.985, 0.965, 0.925], np.float32)
"""Opaque body colour has no deeper black and no brighter white."""

OIL = StrokeSettings(width=4.0, length=20.0, turn=6.0, body=0.085, relief=0.08)
LIGHT = StrokeSettings(width=5.0, length=24.0, turn=14.0, body=0.07, relief=0.05, isophotes=0.9, drift=0.06)


@dataclass(frozen=True, slots=True)
class Manner:
    """One way to paint: (plate, palette) -> picture, both (H, W, 3), float32, working space, result in [0, 1]."""

    paint: Callable[[Samples, Palette], Samples]
    summary: str
    tone: float = 0.0
    """How far brightness follows that of the painting; see `palette.Palette`."""
    hue: float = 0.0
    paint_share: float = 0.0
    """Share of pieces of the painting itself in the target, unless the user sets it."""

    @property
    def needs_painting(self) -> bool:
        """Whether its colours come from a painting; otherwise the palette is not used."""
        return self.tone > 0 or self.hue > 0


def oil(plate: Samples, palette: Palette) -> Samples:
    """Broad strokes along the forms, thick enough to catch the light."""
    return paint(plate, palette, OIL)


def light(plate: Samples, palette: Palette) -> Samples:
    """Long soft strokes dissolved in a glow that spreads from whatever is bright."""
    painted = paint(plate, palette, LIGHT)
    bright = np.clip(painted @ LUMA - 0.55, 0, 1)[..., None] * painted
    glow = _blur(bright, 9) + _blur(bright, 20)
    return np.clip(painted + glow * np.array([0.9, 0.75, 0.45], np.float32), 0, 1)


def woodblock(plate: Samples, palette: Palette) -> Samples:
    """Few flat inks, shaded off where the plate passes slowly from light to dark, and lines in Prussian blue."""
    colours = palette.apply(flattened(plate, 5, passes=2))
    luma = np.asarray(np.clip(colours @ LUMA, 0, 1), np.float32)
    tone = stepped(luma, 5)
    inked = retoned(colours, luma, 0.06 + 0.94 * tone, floor=0.05)
    inked = _saturated(inked, 1.3)
    # Every ink is on warm paper, and dark areas are printed in the blue of the lines.
    printed = KEY_BLOCK + (WASHI - KEY_BLOCK) * np.clip(1.15 * tone, 0, 1)[..., None]
    return _with_lines(np.asarray(0.68 * inked + 0.32 * printed, np.float32), KEY_BLOCK, plate, width=1.5, length=9)


def ink(plate: Samples, palette: Palette) -> Samples:
    """Diluted washes of soot ink that gather at their rims, white paper, and brush lines."""
    flat = flattened(plate, 4, passes=2)
    tone = stepped(np.asarray(np.clip(flat @ LUMA, 0, 1), np.float32) ** np.float32(0.62), 4)
    rim = np.clip(_blur(tone, 3) - tone, 0, 1)
    wash = np.clip(1.08 * tone - 0.02 - 0.7 * rim, 0, 1)[..., None]
    dark = SUMI + (DILUTED - SUMI) * np.clip(2 * wash, 0, 1)
    washed = dark + (PAPER - DILUTED) * np.clip(2 * wash - 1, 0, 1)
    tint = flat - (flat @ LUMA)[..., None]
    return _with_lines(np.asarray(washed + 0.3 * tint, np.float32), SUMI, plate, width=1.2, length=7)


def cel(plate: Samples, palette: Palette) -> Samples:
    """A painted animation cel: flat saturated colours in four tones, and dark contours."""
    flat = flattened(plate, 4, passes=2)
    luma = np.asarray(np.clip(flat @ LUMA, 0, 1), np.float32)
    toned = retoned(flat, luma, 0.1 + 0.93 * stepped(luma, 4), floor=0.03)
    return _with_lines(_saturated(toned, 1.35), CONTOUR, plate, width=1.4, length=7)


def pencil(plate: Samples, palette: Palette) -> Samples:
    """Graphite on paper: hatching along the forms, denser where the plate is dark, and firm outlines."""
    luma = plate @ LUMA
    along_x, along_y = stroke_direction(luma, 8)
    fine = _blur(luma, 0.6) - _blur(luma, 1.5)
    spread = np.sqrt(_blur(fine * fine, 8)) + 0.05  # the floor, because grain would make the hatching boil
    hatching = np.tanh(2.2 * smear(np.asarray(np.tanh(2 * fine / spread), np.float32), along_x, along_y, 14))
    dark = 1 - np.clip((_blur(luma, 1.5) - 0.04) / 0.82, 0, 1) ** 0.75
    pressed = smooth(np.asarray(np.clip((0.5 * hatching + 2.4 * dark - 0.2) / 1.8, 0, 1), np.float32))
    lead = np.clip(1.02 * pressed * dark**0.55, 0, 1)
    outline = drawn_lines(luma, along_x, along_y, width=1.0, length=6)
    lead = 1 - (1 - lead) * (1 - 0.8 * outline)
    return np.asarray(DRAWING_PAPER + (GRAPHITE - DRAWING_PAPER) * lead[..., None], np.float32)


def gouache(plate: Samples, palette: Palette) -> Samples:
    """Opaque matt shapes with brushed rims, in few tones, as the background of an animation is painted."""
    broad, fine = brushed(plate, 4, turn=5, length=14, passes=2), brushed(plate, 1.8, turn=3, length=7, passes=1)
    shapes = restated(plate, broad, fine, faintest=0.05, full=0.16)
    luma = np.asarray(np.clip(shapes @ LUMA, 0, 1), np.float32)
    toned = retoned(shapes, luma, 0.45 * luma + 0.55 * stepped(luma, 6), floor=0.06)
    strong = np.clip(_saturated(toned, 1.22), 0, 1)
    return np.asarray(GOUACHE_DARK + (GOUACHE_LIGHT - GOUACHE_DARK) * strong, np.float32)


def knife(plate: Samples, palette: Palette) -> Samples:
    """Broad facets of thick strong colour, each pressed flat by a palette knife, with a ridge where one ends."""
    along_x, along_y = stroke_direction(plate @ LUMA, 8)
    broad, fine = flattened(plate, 7, passes=2), flattened(plate, 2.5)
    facets = restated(
        plate,
        crisp(smear(broad, along_x, along_y, 8), along_x, along_y),
        crisp(smear(fine, along_x, along_y, 4), along_x, along_y),
        faintest=0.09,
        full=0.26,
    )
    luma = np.asarray(np.clip(facets @ LUMA, 0, 1), np.float32)
    strong = _saturated(retoned(facets, luma, 0.4 * smooth(luma) + 0.59 * luma, floor=0.06), 1.3)
    calm = _blur(facets @ LUMA, 0.6)
    slope = (cv2.Sobel(calm, cv2.CV_32F, 1, 0) + cv2.Sobel(calm, cv2.CV_32F, 0, 1)) / 8
    ridge = slope / (np.abs(slope) + np.float32(0.03))  # about as high on a faint rim as on a strong one
    return np.asarray(np.clip(strong + 0.06 * ridge[..., None], 0, 1), np.float32)


def film(plate: Samples, palette: Palette) -> Samples:
    """A print of an old colour film: a soft shoulder, cool shadows and warm lights, halation, and crisp texture."""
    luma = (plate @ LUMA)[..., None]
    toned = smooth(np.clip(0.06 + 0.9 * plate, 0, 1)) * 0.55 + 0.45 * (0.05 + 0.9 * plate)
    split = np.array([0.055, 0.01, -0.075], np.float32)
    toned = toned + split * (luma - 0.42) * 2
    halo = np.clip(luma - 0.72, 0, 1) * np.array([1.0, 0.35, 0.12], np.float32)
    texture = luma - _blur(luma, 1.8)[..., None]
    structure = luma - _blur(luma, 12)[..., None]
    graded = toned + 1.3 * _blur(halo, 7) + 0.8 * np.tanh(6 * texture) / 6 + 0.22 * structure
    return np.asarray(np.clip(_saturated(graded, 0.88), 0, 1), np.float32)


MANNERS: dict[str, Manner] = {
    "oil": Manner(oil, "broad strokes of thick oil along the forms", tone=0.6, hue=0.65, paint_share=0.5),
    "light": Manner(light, "long soft strokes dissolved in light", tone=0.35, hue=0.55),
    "woodblock": Manner(woodblock, "a woodblock print: flat inks and blue lines", tone=0.4, hue=0.6),
    "ink": Manner(ink, "soot ink and wash on paper"),
    "cel": Manner(cel, "a painted animation cel: flat colours and contours"),
    "pencil": Manner(pencil, "a pencil drawing, hatched along the forms"),
    "gouache": Manner(gouache, "opaque matt shapes in few tones, as animation backgrounds are painted"),
    "knife": Manner(knife, "broad facets of thick colour, laid with a palette knife"),
    "film": Manner(film, "the grade and texture of an old colour print"),
}
"""Name, as `impasto train painting --manner` takes it -> manner."""


def _saturated(colours: Samples, factor: float) -> Samples:
    grey = (colours @ LUMA)[..., None]
    return np.asarray(grey + factor * (colours - grey), np.float32)


def _with_lines(painted: Samples, ink_colour: Samples, plate: Samples, *, width: float, length: float) -> Samples:
    luma = plate @ LUMA
    along_x, along_y = stroke_direction(luma, 5)
    inked = drawn_lines(luma, along_x, along_y, width=width, length=length)[..., None]
    return np.asarray(np.clip(painted + (ink_colour - painted) * inked, 0, 1), np.float32)


def _blur(field: Samples, sigma: float) -> Samples:
    return np.asarray(cv2.GaussianBlur(np.asarray(field, np.float32), (0, 0), sigma), np.float32)
