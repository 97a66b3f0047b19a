"""A painter whose strokes no filter of the plate makes: a stand-in for a hand, for benchmarks of painted keys.

Strokes are set at random places from a seed, broad ones first, along the drawing and in its colours, each with a colour
of its own and with bristles. The same picture with another seed has other strokes.
"""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.colour import LUMA
from impasto.core.frame import Samples

WIDTHS = (26, 13, 7)
"""Widths of the strokes in pixels, in the order in which they are laid."""
COVER = (2.2, 1.8, 1.4)
"""How many times the strokes of a width cover what they are laid on."""
DETAIL = 0.035
"""Difference of luma from the paint so far, from which finer strokes are laid."""


def hand_painted(picture: Samples, seed: int = 0, scale: float = 1.0) -> Samples:
    """A picture (H, W, 3) in [0, 1] painted in strokes; `scale` is their size."""
    chance = np.random.default_rng(seed)
    canvas = np.ascontiguousarray(cv2.GaussianBlur(picture, (0, 0), 12 * scale))
    angle = directions(picture, 4 * scale)
    for width, cover in zip(WIDTHS, COVER, strict=True):
        lay(canvas, picture, angle, width * scale, cover, chance, everywhere=width == WIDTHS[0])
    return np.clip(canvas, 0, 1)


def lay(
    canvas: Samples,
    picture: Samples,
    angle: Samples,
    width: float,
    cover: float,
    chance: np.random.Generator,
    *,
    everywhere: bool,
) -> None:
    """Lay the strokes of one width on a canvas, in place: everywhere, or where the canvas differs from the picture."""
    height, length = picture.shape[0], 3.2 * width
    wanted = cv2.GaussianBlur(picture, (0, 0), 0.35 * width)
    off = cv2.GaussianBlur(np.abs((wanted - canvas) @ LUMA).astype(np.float32), (0, 0), 0.5 * width)
    for _ in range(int(cover * picture[..., 0].size / (width * length))):
        y, x = int(chance.integers(height)), int(chance.integers(picture.shape[1]))
        turn, shade = (
            0.25 * chance.standard_normal(),
            0.05 * chance.standard_normal(3) + 0.05 * chance.standard_normal(),
        )
        bristles = 0.06 * chance.standard_normal(5)
        if not everywhere and off[y, x] < DETAIL and chance.random() > 0.25:
            continue
        along = angle[y, x] + turn
        way, side = np.array([np.cos(along), np.sin(along)]), np.array([-np.sin(along), np.cos(along)])
        for place, bristle in zip(np.linspace(-0.4, 0.4, len(bristles)), bristles, strict=True):
            middle = np.array([x, y]) + place * width * side
            ends = [tuple(np.rint(16 * (middle + reach * length * way)).astype(int).tolist()) for reach in (-0.5, 0.5)]
            colour = np.clip(wanted[y, x] + shade + bristle, 0, 1)
            cv2.line(canvas, *ends, colour.tolist(), max(1, round(width / 4)), cv2.LINE_AA, 4)


def directions(picture: Samples, reach: float) -> Samples:
    """The direction of the drawing at each pixel, in radians, (H, W)."""
    luma = np.asarray(cv2.GaussianBlur(picture @ LUMA, (0, 0), 1.5), np.float32)
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(each, (0, 0), reach) for each in (across * across, down * down, across * down))
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, np.float32)
