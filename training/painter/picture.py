"""One picture painted in strokes that are pieces of a painting, from broad to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.painter.blur import blurred
from impasto.training.painter.direction import stroke_angles
from impasto.training.painter.pieces import COMPARED, Pieces, matched
from impasto.training.painter.settings import Layer, PainterSettings
from impasto.training.painter.strokes import Strokes, along_grid, brush_mark, footprint, lay, sampled

FINE_BAND = 1.6
"""How many times the detail of its own size an error may count: paint on a flat is no error to be painted over."""
SOFTEST = 0.4
"""Contrast of paint towards which stronger contrast is pressed, so that no fleck jumps out."""
CLEAR = 0.2
"""Detail, summed over the channels, from which a place counts as full of it."""
BUSY = 10.0
"""Radius in units within which such places hide a miss: among leaves it counts less than on a calm face or page."""
DRAWN = 5.0
"""Width in units below which strokes draw: they take every detail of the target, and wider ones its flat colours."""
FREE = 0.8
"""How far a new stroke stays from an old one, in spacings: what misses its target there was painted so before."""
EMPTY = np.zeros(0, np.float32)
NO_STROKES = Strokes(EMPTY, EMPTY, EMPTY, EMPTY, np.zeros(0, np.int64), EMPTY, EMPTY)
NEEDED = 0.3
"""Share of a layer's error below which a carried stroke is no longer needed."""
ROUNDS = 2
"""How often a layer looks for what misses its target, so that the next frame finds nothing left to do."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A painted picture (H, W, 3), working space, in [0, 1], and its strokes, layer by layer."""

    picture: Samples
    strokes: tuple[Strokes, ...]


def paint_picture(
    target: Samples,
    pieces: Sequence[Pieces],
    unit: float,
    settings: PainterSettings,
    carried: Sequence[Strokes] | None = None,
) -> Painted:
    """Paint a target (H, W, 3), working space: the plate in the painting's colours. `unit` is in pixels.

    `carried` are the strokes of another frame where this one shows the same surfaces; they are laid first, layer by
    layer, as far as they are still needed, and new ones are added where they are missing.
    """
    angles = stroke_angles(target, unit, np.random.default_rng(settings.seed))
    flat = _flattened(target, unit)
    canvas = 0.9 * blurred(target, 20 * unit)
    laid: list[Strokes] = []
    for index, (layer, source) in enumerate(zip(settings.layers, pieces, strict=True)):
        pass_ = _Pass(layer, source, target if layer.width < DRAWN else flat, angles, unit, settings)
        strokes = NO_STROKES if carried is None else carried[index]
        if layer.error:
            strokes = strokes.chosen(_at(pass_.error_of(canvas), strokes.x, strokes.y) > NEEDED * layer.error)
        pass_.lay_all(canvas, strokes)
        for turn in range(ROUNDS if carried is None else 1):
            new = pass_.new_strokes(canvas, strokes, np.random.default_rng((settings.seed, index, turn)))
            pass_.lay_all(canvas, new)
            strokes = strokes.then(new)
        laid.append(strokes)
    return Painted(np.clip(canvas, 0, 1), tuple(laid))


@dataclass(frozen=True, slots=True)
class _Pass:
    """One layer over one picture."""

    layer: Layer
    pieces: Pieces
    shown: Samples
    angles: Samples
    unit: float
    settings: PainterSettings

    def error_of(self, canvas: Samples) -> Samples:
        """How far the canvas misses what strokes of this size can draw, (H, W), as an eye sees it."""
        width = self.pieces.width
        soft = max(0.5, width / 5)
        missed = blurred(np.abs(blurred(canvas, max(0.7, soft)) - blurred(self.shown, soft)).sum(2), width / 4)
        detail = np.abs(blurred(self.shown, max(0.5, width / 6)) - blurred(self.shown, 0.9 * width)).sum(2)
        seen = np.minimum(missed, FINE_BAND * blurred(detail, width / 4))
        dense = blurred(np.minimum(1, detail / CLEAR), BUSY * self.unit)
        return np.asarray(seen / (1 + self.layer.masking * np.square(np.square(dense))), np.float32)

    def new_strokes(self, canvas: Samples, old: Strokes, rng: np.random.Generator) -> Strokes:
        """Strokes where the canvas misses its target and no old stroke lies."""
        height, across = self.shown.shape[:2]
        length, width = self.pieces.length, self.pieces.width
        step = max(1.5, self.layer.spacing * width)
        rows, columns = np.mgrid[0 : height + step : step, 0 : across + step : step]
        x = (columns + step * rng.uniform(-0.6, 0.6, columns.shape)).ravel().clip(0, across - 1).astype(np.float32)
        y = (rows + step * rng.uniform(-0.6, 0.6, rows.shape)).ravel().clip(0, height - 1).astype(np.float32)
        lot = rng.uniform(0.6, 1.4, len(x))
        turn = rng.normal(0, 0.1, len(x)).astype(np.float32)
        order = rng.permutation(len(x))
        wanted = np.ones(len(x), bool)
        if self.layer.error:
            wanted &= _at(self.error_of(canvas), x, y) > self.layer.error * lot
        if len(old):
            wanted &= _at(_distances(old, (height, across)), x, y) > FREE * step
        order = order[wanted[order]]
        x, y, turn = x[order], y[order], turn[order]
        angle = _at(self.angles, x, y) + turn
        if not len(x):
            return NO_STROKES
        seen = along_grid(blurred(self.shown, max(0.5, width / 4)), x, y, angle, (length, width), COMPARED)
        mean = seen.mean(1)
        colour = 0.5 * (mean + self._colours(x, y))
        chosen = matched(self.pieces, colour, seen - mean[:, None], self.layer.structure, rng)
        rest = np.zeros_like(x)
        return Strokes(x, y, angle, self._bends(x, y, angle), chosen, rest, rest)

    def lay_all(self, canvas: Samples, strokes: Strokes) -> None:
        """Lay strokes onto the canvas in their order, in place."""
        if not len(strokes):
            return
        pieces, settings = self.pieces, self.settings
        length, width = pieces.length, pieces.width
        size = canvas.shape[0], canvas.shape[1]
        colours = self._colours(strokes.x, strokes.y)
        cosines, sines = np.cos(pieces.angle), np.sin(pieces.angle)
        for index, piece in enumerate(strokes.piece.tolist()):
            at = footprint(strokes, index, length, width, size)
            if at is None:
                continue
            cosine, sine = cosines[piece], sines[piece]
            x = at.along * cosine - at.across * sine + pieces.x[piece]
            y = at.along * sine + at.across * cosine + pieces.y[piece]
            ridges = sampled(pieces.paint, x, y) - pieces.mean[piece]
            ridges *= pieces.strength[piece]
            ridges /= 1 + np.abs(ridges) / SOFTEST
            wanted = colours[index]
            cover = brush_mark(at, length, width, ridges)
            red, green, blue = cv2.split(np.abs(self.shown[at.rows, at.columns] - wanted))
            leaves = np.maximum(np.maximum(red, green), blue)
            cover *= np.clip(2 - leaves / self.layer.edge, 0, 1)
            own = wanted + settings.own_colour * (pieces.mean[piece] - wanted)
            lay(canvas, at, own + self.layer.contrast * ridges, cover)

    def _colours(self, x: Samples, y: Samples) -> Samples:
        """The target's colour at places, (N, 3); of broad strokes over some surroundings."""
        width = self.pieces.width
        picture = self.shown if self.layer.width < DRAWN else blurred(self.shown, max(0.5, width / 4))
        return sampled(picture, x[:, None], y[:, None])[:, 0]

    def _bends(self, x: Samples, y: Samples, angle: Samples) -> Samples:
        """How strokes bend to follow the directions at both of their ends."""
        length = self.pieces.length
        turned = np.zeros(len(x), np.float32)
        for side in (1, -1):
            step = side * 0.4 * length
            ahead_x, ahead_y = (np.asarray(step * turn(angle), np.float32) for turn in (np.cos, np.sin))
            ahead = _at(self.angles, x + ahead_x, y + ahead_y)
            turned += side * (np.mod(ahead - angle + np.pi / 2, np.pi) - np.pi / 2)
        return np.asarray(np.clip(turned / 0.8, -1.2, 1.2) / length, np.float32)


def _flattened(target: Samples, unit: float) -> Samples:
    """The target without grain and faint texture, its edges as they were."""
    reach = min(4, max(2, round(2 * unit)))
    return np.asarray(cv2.bilateralFilter(target, 2 * reach + 1, 0.1, float(reach)), np.float32)


def _at(field: Samples, x: Samples, y: Samples) -> Samples:
    """A field (H, W) at the pixels nearest to places; places outside see the rim."""
    height, width = field.shape
    near = field[np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, width - 1).astype(int)]
    return np.asarray(near, np.float32)


def _distances(strokes: Strokes, size: tuple[int, int]) -> Samples:
    """How far every pixel, (H, W), is from the nearest centre of some strokes, in pixels."""
    empty = np.ones(size, np.uint8)
    rows, columns = (np.rint(each).astype(int) for each in (strokes.y, strokes.x))
    empty[rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1)] = 0
    return np.asarray(cv2.distanceTransform(empty, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
