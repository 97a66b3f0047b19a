"""Where the surfaces of a picture lie in a key: optical flow made robust, and how far it can be trusted.

Flow starts coarse or from a motion that is known, is refined down to the pixel, and competes with other motions (see
`impasto.core.keyframe_paint.likeliest_motion`). Light may differ between the plates, slowly from place to place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.likeliest_motion import likeliest
from impasto.core.keyframe_paint.plates import ALIKE, Plate, blurred, difference, inside
from impasto.core.keys_quality import KeysQuality

SMOOTHNESS = 60.0
"""Weight of a smooth flow in its last refinement; OpenCV's own is 20, and leaves flat paint to wander."""
TOLERATED = 5 / 255
"""Difference that is nothing, on flat ground without noise."""
MISSED = 0.5
"""Pixels by which a motion may miss: where a plate has contrast, so much more difference is tolerated."""
SMEARED, STRETCHED = 0.35, 0.7
"""Change of motion from pixel to pixel up to which a surface only bends, and from which its paint would be smeared."""
APART = 3.0
"""Pixels by which two places must lie apart for one to hide the other in the key."""


@dataclass(frozen=True, slots=True)
class Correspondence:
    """The motion from a picture into a key, (h, w, 2) in pixels, and how far to trust it, (h, w) in [0, 1]."""

    flow: Samples
    confidence: Samples


def follow(
    picture: Plate, key: Plate, quality: KeysQuality, noise: float = 0.0, start: Samples | None = None
) -> Correspondence:
    """Where a picture's surfaces lie in a key of the same size.

    `noise` is the standard deviation of the plates' noise in 1/255, `start` a motion to begin with. A draft is not
    refined down to the pixel and has no smooth fits.
    """
    begun = np.zeros((*picture.luma.shape, 2), np.float32) if start is None else start.copy()
    flow = np.asarray(_search(quality).calc(picture.luma, key.luma, begun), np.float32)
    if quality != "draft":
        flow = likeliest(picture, key, flow, () if start is None else (start,))
    return judged(picture, key, flow, noise)


def judged(picture: Plate, key: Plate, flow: Samples, noise: float = 0.0) -> Correspondence:
    """A motion, trusted where the plates look alike along it, nothing is smeared or hidden, and it stays in the key."""
    off = difference(picture, key, flow)
    tolerated = TOLERATED + noise / 255 + MISSED * picture.contrast
    alike = np.clip((3 * tolerated - blurred(off, ALIKE)) / (2 * tolerated), 0, 1)
    bent = np.clip((STRETCHED - smear(flow)) / (STRETCHED - SMEARED), 0, 1)
    confidence = alike * bent * inside(flow) * ~hidden(flow, off)
    return Correspondence(flow, np.asarray(confidence, np.float32))


def smear(flow: Samples) -> Samples:
    """How much a motion changes from pixel to pixel, on the calmer side of each, (h, w).

    At the edge between two surfaces one side is calm; a smear changes on both.
    """
    height, width = flow.shape[:2]
    total = np.zeros((height, width), np.float32)
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(flow, axis=axis), axis=2).astype(np.float32)
        steps = np.asarray(cv2.blur(steps, (3, 3)), np.float32)
        before = np.concatenate((np.take(steps, [0], axis), steps), axis)
        after = np.concatenate((steps, np.take(steps, [-1], axis)), axis)
        np.maximum(total, np.minimum(before, after), out=total)
    return total


def hidden(flow: Samples, off: Samples) -> npt.NDArray[np.bool_]:
    """Where another part of the picture lies in the same place of the key, and looks more like it: (h, w)."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[:height:2, :width:2]
    y = np.clip(np.rint((rows + flow[::2, ::2, 1]) / 2), 0, rows.shape[0] - 1).astype(np.intp)
    x = np.clip(np.rint((columns + flow[::2, ::2, 0]) / 2), 0, rows.shape[1] - 1).astype(np.intp)
    place = (y * rows.shape[1] + x).ravel()
    errors = blurred(off, ALIKE)[::2, ::2].ravel()
    order = np.argsort(-errors, kind="stable")
    best = np.full(place.size, -1, np.intp)
    best[place[order]] = order  # of those that meet, the last stays: the one most alike
    winner = best[place]
    away = np.hypot(rows.ravel()[winner] - rows.ravel(), columns.ravel()[winner] - columns.ravel())
    loses = ((away > APART) & (errors > errors[winner] + TOLERATED / 2)).reshape(rows.shape)
    share = cv2.blur(loses.astype(np.float32), (3, 3))
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _search(quality: KeysQuality) -> cv2.DISOpticalFlow:
    """Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590), for all but a draft down to the pixel."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setVariationalRefinementAlpha(SMOOTHNESS)
    if quality != "draft":
        search.setFinestScale(0)
        search.setVariationalRefinementIterations(10)
    return search
