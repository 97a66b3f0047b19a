"""Paint invented where no key has any: pieces of the keys' paint over the network's colour and drawing."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.carrying import CarriedPaint, ReadyKey, laid
from impasto.core.keyframe_paint.matching import compared_size, scaled
from impasto.core.keyframe_paint.patches import PatchSource, gathered, laid_pieces

SURE = 0.5
"""Confidence below which the paint of keys counts as missing."""
SMALL = 9
"""Side of the squares, in pixels of the compared size, that fit into whatever is filled: in smaller holes, as around a
lid that closes, the network draws better than pieces."""
GROWN = 2
"""Pixels, of the compared size, by which what is missing grows: pieces reach under the rim of the known paint."""
LEAST = 0.001
"""Share of a frame below which nothing is invented."""
COLOUR = 6.0
"""Sigma, in such pixels, of the colour that pieces take from the network."""
RIM = 1.5
"""Sigma, in such pixels, of the blend at the rim of what is invented."""


def invented(
    painted: Samples, picture: Samples, carried: CarriedPaint | None, keys: Sequence[ReadyKey]
) -> tuple[Samples, Samples]:
    """The network's painting of a picture, both (H, W, 3), with pieces of the keys where `carried` has no paint.

    Beside it the share of invented paint, (h, w) in [0, 1] of the compared size. Only keys by hand lend pieces. What
    looks like nothing in them stays the network's.
    """
    whole = (painted.shape[0], painted.shape[1])
    size = compared_size(*whole)
    sure = np.zeros(size, np.float32) if carried is None else carried.confidence
    holes = cv2.morphologyEx((sure < SURE).astype(np.uint8), cv2.MORPH_OPEN, np.ones((SMALL, SMALL), np.uint8))
    missing = cv2.dilate(holes, np.ones((2 * GROWN + 1, 2 * GROWN + 1), np.uint8)) > 0
    sources = [key for key in keys if key.by_hand]
    if missing.mean() < LEAST or not sources:
        return painted, np.zeros(size, np.float32)
    small = scaled(painted, size)
    known = small if carried is None else scaled(laid(painted, carried, 1.0), size)
    pieces = laid_pieces(
        scaled(picture, size),
        small,
        known,
        missing,
        [
            PatchSource(key.plate.picture, key.painting, scaled(key.paint.astype(np.float32), size), key.held)
            for key in sources
        ],
    )
    share = np.asarray(cv2.GaussianBlur(pieces.belongs, (0, 0), RIM), np.float32)
    lying = (pieces.key >= 0).astype(np.float32)
    off = (small - gathered(pieces, [key.painting for key in sources], size)) * lying[..., None]
    around = np.maximum(cv2.GaussianBlur(lying, (0, 0), COLOUR), 0.01)[..., None]
    colour = np.asarray(cv2.GaussianBlur(off, (0, 0), COLOUR) / around, np.float32)
    paint = gathered(pieces, [key.paint.astype(np.float32) for key in sources], whole)
    weight = cv2.resize(share, whole[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    paint += cv2.resize(colour, whole[::-1], interpolation=cv2.INTER_LINEAR)
    result = np.asarray(painted + weight * (paint - painted), np.float32)
    return result, np.asarray(share * (1 - np.clip(sure, 0, 1)), np.float32)
