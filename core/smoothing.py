"""Calm without order: a painted frame takes what the frames around it agree on.

Each frame looks at the plates around it and at their own paintings, never at what was smoothed before. So a result is
the same whichever frames are rendered, and in whatever order. The paint of a neighbour is fetched along the plates'
optical flow, where motion there and back meets and the plates look alike; it counts where it nearly is the paint that
lies there already. So strokes that boil settle, and what moves away leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.colour import LUMA
from impasto.core.frame import Samples
from impasto.core.frame_settings import SMOOTHING_REACH
from impasto.core.painted_picture import PaintedPicture

SHARE = 0.5
"""Side of the pictures on which motion is judged, over the whole; flow is found on the whole."""
MISSED, MISSED_SHARE = 0.5, 0.03
"""Pixels, and share of the motion, by which a way there and back may miss its start and still count."""
ALIKE = 5 / 255
"""Difference of the plates, in working space, up to which they show the same; at twice that nothing counts."""
AGREES = 30 / 255
"""The same for the paint."""
CUT = 0.25
"""Share of two plates that must look alike along their motion; below it there is a cut, a flash or confetti."""
LEAST_SIDE = 16
"""Below it nothing can be followed."""


@dataclass(frozen=True, slots=True)
class Step:
    """The motion between two neighbouring plates, (H, W, 2) float32 offsets in pixels, either way."""

    onward: Samples
    """Where the pixels of the earlier plate lie in the later."""
    back: Samples


def step_between(earlier: Samples, later: Samples) -> Step | None:
    """The motion from one plate to the next, both (H, W, 3) float32 in working space; None across a cut.

    Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590) on 8-bit luma.
    """
    if earlier.shape != later.shape or min(earlier.shape[:2]) < LEAST_SIDE:
        return None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    before, after = _codes(earlier), _codes(later)
    step = Step(
        np.asarray(search.calc(before, after, None), np.float32),  # type: ignore[call-overload]
        np.asarray(search.calc(after, before, None), np.float32),  # type: ignore[call-overload]
    )
    alike = _alike(_smaller(later), _smaller(earlier), _smaller(step.back) * np.float32(SHARE))
    return step if float(alike.mean()) >= CUT else None


def smoothed(window: Sequence[PaintedPicture], steps: Sequence[Step | None], at: int, amount: float) -> Samples:
    """The paint of frame `at` of a window of consecutive frames, (H, W, 3) float32; a new picture.

    `steps[i]` is the motion between frames i and i + 1, None where nothing leads across. `amount` is from 0, the
    frame's own paint, to 1, the mean of all paint that agrees. Paint that changes
    nothing stays exactly as it is.
    """
    own = window[at]
    if np.array_equal(own.painted, own.picture):
        return own.painted
    total = np.zeros_like(own.painted)
    weight = np.ones(own.painted.shape[:2], np.float32)
    for side in (1, -1):
        there: Samples | None = None
        back: Samples | None = None
        for distance in range(1, SMOOTHING_REACH + 1):
            other = at + side * distance
            if not 0 <= other < len(window):
                break
            step = steps[min(other, other - side)]
            if step is None:
                break
            onward, homeward = (step.onward, step.back) if side == 1 else (step.back, step.onward)
            there = onward if there is None else there + _fetched(onward, there)
            back = homeward if back is None else homeward + _fetched(back, homeward)
            difference = _fetched(window[other].painted, there, cv2.INTER_CUBIC) - own.painted
            share = _trust(own, window[other], there, back, difference)
            total += share[..., None] * difference
            weight += share
    # Half of the way is most of the calm: a frame shares four fifths of its window with the next.
    strength = np.float32(1 - (1 - amount) ** 2)
    return np.asarray(own.painted + strength * total / weight[..., None], np.float32)


def _trust(own: PaintedPicture, other: PaintedPicture, there: Samples, back: Samples, difference: Samples) -> Samples:
    """How far a neighbour's paint counts, (H, W) in [0, 1]."""
    flow, home = (_smaller(each) * np.float32(SHARE) for each in (there, back))
    missed = np.linalg.norm(flow + _fetched(home, flow), axis=2)
    allowed = MISSED * SHARE + MISSED_SHARE * np.linalg.norm(flow, axis=2)
    trust = np.clip(2 - missed / allowed, 0, 1) * _alike(_smaller(own.picture), _smaller(other.picture), flow)
    trust *= np.clip(2 - cv2.blur(np.abs(_smaller(difference)).max(2), (3, 3)) / AGREES, 0, 1)
    # A rim of one pixel, because the smaller picture does not know on which side of it an edge lies.
    trust = np.asarray(cv2.erode(trust.astype(np.float32), np.ones((3, 3), np.uint8)), np.float32)
    height, width = own.painted.shape[:2]
    return np.asarray(cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _alike(picture: Samples, other: Samples, flow: Samples) -> Samples:
    """How much `other`, fetched along the flow, looks like the picture, (h, w) in [0, 1]; 0 outside of it."""
    off = cv2.blur(np.abs(_fetched(other, flow) - picture).max(2), (3, 3))
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x += flow[..., 0]
    y += flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.asarray(np.clip(2 - off / np.float32(ALIKE), 0, 1) * inside, np.float32)


def _smaller(picture: Samples) -> Samples:
    height, width = picture.shape[:2]
    size = max(1, round(width * SHARE)), max(1, round(height * SHARE))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _fetched(picture: Samples, flow: Samples, method: int = cv2.INTER_LINEAR) -> Samples:
    """Each pixel's sample at its place plus the flow; edges repeat."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], method, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _codes(picture: Samples) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(np.rint(np.clip(picture @ LUMA, 0, 1) * 255), np.uint8)
