"""Motion from a frame to a key, chained over the motion vectors of every frame between.

With v the vectors of a frame towards the key, a pixel p of frame n moves to p + v_n(p) in its neighbour, and so on
until it is in the key. Chains grow outwards from their key, a frame at a time. At each `BLOCK`-th frame number the
chain is stored, and longer chains continue with the stored one: a frame costs a few steps, however far its key is.
Surfaces keep their edges, which a warp of one flow along the other at every frame would blur away. A chain
depends only on the numbers of frame and key and on the vectors between, not on what else is rendered.

The motion back, from the key to the frame, is chained beside it. For a pixel that some surface hides on the way, motion
there and back does not return to its start.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import KeyMotion, Samples
from impasto.core.keyframe_paint.matching import TURNS_BACK
from impasto.core.motion.vectors import Field
from impasto.core.optical_flow import warped

BLOCK = 16
"""Number of frames between stored chains."""
EDGE = 0.5 * TURNS_BACK
"""Pixels by which a blend of neighbours may differ from the nearest sample; beyond that, two surfaces meet there."""
AWAY = 1e4
"""An offset out of every picture."""


@dataclass(frozen=True, slots=True)
class MotionStep:
    """The vectors of a frame to its neighbour on the side of the keys, and those of the neighbour back to it.

    Without the latter, pixels that get hidden on the way cannot be found.
    """

    there: Field
    back: Field | None


@dataclass(frozen=True, slots=True)
class _Motion:
    """Motion from a frame to another: (h, w, 2) offsets, and the pixels that were lost on the way, (h, w)."""

    flow: Samples
    lost: npt.NDArray[np.bool_]


class Chains:
    """The chains from frames to the keys on one side of them; `toward` is 1 for keys of higher numbers, -1 for lower.

    A pixel is lost where its vector is unknown, where motion there and back, over one frame or over all, misses its
    start by more than `TURNS_BACK`, or where it leaves the picture.
    """

    def __init__(self, keys: Collection[int], toward: Literal[1, -1]) -> None:
        self._keys, self._toward = keys, toward
        self._steps: list[MotionStep] = []
        """From the last frame to the next block, at most to the first key."""
        self._anchors: dict[int, _Motion] = {}
        """Key -> the stored chain to it from the next block."""
        self._backs: dict[int, Samples | None] = {}
        """Key -> motion of its pixels into the last frame."""

    def lengthened(self, number: int, step: MotionStep) -> dict[int, KeyMotion]:
        """The motion of a frame into every key. Frames come from next to the first key outwards, without a gap."""
        self._steps.insert(0, step)
        keys = [key for key in self._keys if (key - number) * self._toward > 0]
        for key in keys:
            self._backs[key] = _extended_back(self._backs.get(key, np.zeros_like(step.there.flow)), step.back)
        block = number + self._toward * (BLOCK - (number * self._toward) % BLOCK)
        motions: dict[int, _Motion] = {}
        motion = _Motion(np.zeros_like(step.there.flow), np.zeros(step.there.known.shape, np.bool_))
        for place, each in enumerate(self._steps, 1):
            motion = _extended(motion, each)
            passed = number + self._toward * place
            if passed in keys:
                motions[passed] = motion
            if passed == block:
                break
        motions |= {key: _joined(motion, self._anchors[key]) for key in keys if (key - block) * self._toward > 0}
        if number % BLOCK == 0:
            self._anchors, self._steps = motions, []
        return {key: _checked(motions[key], self._backs[key], step.there) for key in keys}


def _extended(motion: _Motion, step: MotionStep) -> _Motion:
    """A motion, one frame further."""
    moved = _fetched(step.there.flow, motion.flow)
    flow = motion.flow + moved
    lost = motion.lost | _unknown(step.there, motion.flow) | _outside(flow)
    if step.back is not None:
        lost |= _long(moved + _fetched(step.back.flow, flow)) | _unknown(step.back, flow)
    return _Motion(flow, lost)


def _extended_back(back: Samples | None, field: Field | None) -> Samples | None:
    """The motion of a key's pixels into the next frame outwards, from that into the frame before it."""
    if back is None or field is None:
        return None
    further = back + _fetched(field.flow, back)
    further[_unknown(field, back)] = AWAY
    return further


def _joined(motion: _Motion, anchor: _Motion) -> _Motion:
    """A motion to a block, continued by the stored motion from there."""
    lost = motion.lost | (warped(anchor.lost.astype(np.float32), motion.flow) > 0.5)
    return _Motion(motion.flow + _fetched(anchor.flow, motion.flow), lost)


def _checked(motion: _Motion, back: Samples | None, field: Field) -> KeyMotion:
    """The motion into a key. Pixels that the key's motion back does not return to their start are lost too."""
    lost = motion.lost | _outside(motion.flow)
    if back is not None:
        lost = lost | _long(motion.flow + warped(back, motion.flow))
    return KeyMotion(motion.flow, lost.astype(np.float32), (~field.known).astype(np.float32))


def joined_flow(flow: Samples, further: Samples) -> Samples:
    """A motion, and from where it leads another, as one; surfaces keep their edges."""
    return np.asarray(flow + _fetched(further, flow), np.float32)


def _fetched(flow: Samples, along: Samples) -> Samples:
    """A flow fetched along another, without a blend across the edge between two surfaces."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    blend = warped(flow, along)
    nearest = cv2.remap(flow, x + along[..., 0], y + along[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.where(_long(blend - nearest, EDGE)[..., None], nearest, blend), np.float32)


def _unknown(field: Field, along: Samples) -> npt.NDArray[np.bool_]:
    if field.known.all():
        return np.zeros(field.known.shape, np.bool_)
    return np.asarray(warped(field.known.astype(np.float32), along) < 0.5)


def _outside(flow: Samples) -> npt.NDArray[np.bool_]:
    """Where a flow leaves the picture, which ends half a pixel beyond the centres of its last pixels."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5))


def _long(offsets: Samples, most: float = TURNS_BACK) -> npt.NDArray[np.bool_]:
    return np.asarray(np.square(offsets[..., 0]) + np.square(offsets[..., 1]) > most**2)
