"""Pieces of a painting, each as large as one stroke and turned along its brushwork; and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.painter.direction import angles_and_coherence
from impasto.training.painter.settings import Layer, PainterSettings
from impasto.training.painter.strokes import Indices, along_grid

COMPARED = (7, 3)
"""Points along and across at which a piece is compared."""
JUDGED = (21, 9)
"""Points at which the contrast inside a piece is measured."""
ALIKE = 40
"""Pieces of like colour to which the contrast of a piece is compared."""
ODD = 1.6
"""A piece with so many times the contrast of its like shows something, not brushwork: a signature, a star, a sail."""
STRONGEST = 0.08
"""Standard deviation inside a piece down to which stronger ones are held."""
BEST = 6
"""Pieces that fit best, of which one is drawn, so that no piece is seen again and again."""
TIRED = 0.02
"""What every use of a piece adds to its distance."""
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces for strokes of one size: where they lie in `paint`, (H, W, 3), their angle, mean colour and structure.

    `structure` is the difference from the mean at the points of `COMPARED`, (N, points, 3); `strength` the factor by
    which the paint's differences from the mean are held down, (N,).
    """

    paint: Samples
    x: Samples
    y: Samples
    angle: Samples
    mean: Samples
    structure: Samples
    strength: Samples
    length: float
    width: float


def cut_pieces(painting: Samples, layer: Layer, scale: float, settings: PainterSettings) -> Pieces:
    """Pieces for one layer from a painting (H, W, 3) at the size of the broadest; `scale` is pixels a unit.

    Places with clear brushwork are preferred, and odd pieces left out.
    """
    paint = painting
    if layer.shrink != 1:
        by = 1 / layer.shrink
        smaller = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
        paint = np.asarray(cv2.resize(painting, None, fx=by, fy=by, interpolation=smaller), np.float32)
    width = layer.width * scale
    length = layer.length * width
    x, y, angle = _places(paint, length, width, settings)
    smooth = np.asarray(cv2.GaussianBlur(paint, (0, 0), max(0.6, width / 5)), np.float32)
    seen = along_grid(smooth, x, y, angle, (length, width), COMPARED)
    mean = seen.mean(1)
    contrast = along_grid(paint, x, y, angle, (length, width), JUDGED).std(1).mean(1)
    kept = contrast < ODD * _usual_contrast(mean, contrast) + 0.01
    x, y, angle, mean, seen = x[kept], y[kept], angle[kept], mean[kept], seen[kept]
    strength = np.minimum(1, STRONGEST / np.maximum(contrast[kept], 1e-6)).astype(np.float32)
    # Turned by half a circle, a piece has its lights on the other side.
    structure = seen - mean[:, None]
    return Pieces(
        paint,
        np.tile(x, 2),
        np.tile(y, 2),
        np.concatenate([angle, angle + np.float32(np.pi)]),
        np.tile(mean, (2, 1)),
        np.concatenate([structure, structure[:, ::-1]]),
        np.tile(strength, 2),
        length,
        width,
    )


def matched(pieces: Pieces, colour: Samples, structure: Samples, weight: float, rng: np.random.Generator) -> Indices:
    """The index of a piece for each of N strokes, by colour (N, 3) and structure (N, points, 3)."""
    keys = _described(pieces.mean, pieces.structure, weight)
    wanted = _described(colour, structure, weight)
    squares = (keys * keys).sum(1)
    used = np.zeros(len(keys), np.float32)
    found = np.empty(len(wanted), np.int64)
    best = min(BEST, len(keys))
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        distance = squares - 2 * some @ keys.T + TIRED * used
        nearest = np.argpartition(distance, best - 1, axis=1)[:, :best]
        order = np.argsort(np.take_along_axis(distance, nearest, 1), axis=1, kind="stable")
        rank = np.minimum(rng.geometric(0.55, len(some)) - 1, best - 1)
        rows = np.arange(len(some))
        chosen = nearest[rows, order[rows, rank]]
        np.add.at(used, chosen, 1)
        found[start : start + AT_ONCE] = chosen
    return found


def _described(colour: Samples, structure: Samples, weight: float) -> Samples:
    return np.concatenate([colour, weight * structure.reshape(len(structure), -1)], axis=1).astype(np.float32)


def _places(paint: Samples, length: float, width: float, settings: PainterSettings) -> tuple[Samples, Samples, Samples]:
    """Centres and angles of pieces, away from the rim where the painting is large enough."""
    rng = np.random.default_rng(settings.seed)
    angles, coherence = angles_and_coherence(paint, max(2.0, width / 3))
    height, across = paint.shape[:2]
    rim = min(0.55 * length + 1, 0.25 * height, 0.25 * across)
    count = 3 * settings.pieces
    x = rng.uniform(rim, across - 1 - rim, count).astype(np.float32)
    y = rng.uniform(rim, height - 1 - rim, count).astype(np.float32)
    at = y.astype(int), x.astype(int)
    clear = coherence[at] + 0.35 * rng.uniform(size=count)
    kept = np.argsort(-clear, kind="stable")[: settings.pieces]
    return x[kept], y[kept], angles[at][kept]


def _usual_contrast(mean: Samples, contrast: Samples) -> Samples:
    """The median contrast of pieces of like colour, for each piece."""
    among = slice(None, None, max(1, len(mean) // 1200))
    others, known = mean[among], contrast[among]
    distance = (others * others).sum(1) - 2 * mean @ others.T
    alike = min(ALIKE, len(others))
    nearest = np.argpartition(distance, alike - 1, axis=1)[:, :alike]
    return np.asarray(np.median(known[nearest], axis=1), np.float32)
