"""The way from a frame to a key over the motion vectors of every frame between.

With v the vectors of a frame towards the key, a pixel p of frame n is led on and on, p + v_n(p) in its neighbour, until
it is in the key. Chains are led outwards from their key, a frame at a time, and from every `BLOCK`-th frame number on
a chain goes by what that frame's own chain says: a frame costs a few steps, however far its key is, and surfaces keep
their edges, which fetching one flow along the other at every frame would blur away. A chain depends on the numbers of
frame and key and on the vectors between, whatever else is rendered.

The way back, from the key to the frame, is led along beside it. What a surface hides sooner or later has a way there
that does not lead back.
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
from impasto.core.temporal import warped

BLOCK = 16
"""Frames from one that chains are joined at to the next."""
EDGE = 0.5 * TURNS_BACK
"""Pixels by which a blend of neighbours may differ from the nearest: more, and they lie on two surfaces."""
AWAY = 1e4
"""An offset that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Step:
    """The vectors of a frame to its neighbour on the side of the keys, and those of the neighbour to it.

    Without the latter nobody can tell what gets hidden on the way.
    """

    there: Field
    back: Field | None


@dataclass(frozen=True, slots=True)
class _Way:
    """Motion from a frame to another further on: (h, w, 2) offsets, and what was lost on the way, (h, w)."""

    flow: Samples
    lost: npt.NDArray[np.bool_]


class Chains:
    """The chains from frames to the keys on one side of them; `toward` is 1 for keys of higher numbers, -1 for lower.

    A place is lost where its vector is unknown, misses its start by more than `TURNS_BACK` on its way back, be it
    over one frame or over all of them, or leaves the picture.
    """

    def __init__(self, keys: Collection[int], toward: Literal[1, -1]) -> None:
        self._keys, self._toward = keys, toward
        self._steps: list[Step] = []
        """From the last frame to the next block, at most to the first key."""
        self._anchors: dict[int, _Way] = {}
        """Key -> the chain to it from the next block."""
        self._backs: dict[int, Samples | None] = {}
        """Key -> motion of its pixels into the last frame."""

    def lengthened(self, number: int, step: Step) -> dict[int, KeyMotion]:
        """The motion of a frame into every key; frames are given from next to the first key outwards, without a gap."""
        self._steps.insert(0, step)
        keys = [key for key in self._keys if (key - number) * self._toward > 0]
        for key in keys:
            self._backs[key] = _led_back(self._backs.get(key, np.zeros_like(step.there.flow)), step.back)
        block = number + self._toward * (BLOCK - (number * self._toward) % BLOCK)
        ways: dict[int, _Way] = {}
        way = _Way(np.zeros_like(step.there.flow), np.zeros(step.there.known.shape, np.bool_))
        for place, each in enumerate(self._steps, 1):
            way = _led_on(way, each)
            passed = number + self._toward * place
            if passed in keys:
                ways[passed] = way
            if passed == block:
                break
        ways |= {key: _joined(way, self._anchors[key]) for key in keys if (key - block) * self._toward > 0}
        if number % BLOCK == 0:
            self._anchors, self._steps = ways, []
        return {key: _trusted(ways[key], self._backs[key], step.there) for key in keys}


def _led_on(way: _Way, step: Step) -> _Way:
    """A way, one frame further."""
    moved = _fetched(step.there.flow, way.flow)
    flow = way.flow + moved
    lost = way.lost | _unknown(step.there, way.flow) | _outside(flow)
    if step.back is not None:
        lost |= _long(moved + _fetched(step.back.flow, flow)) | _unknown(step.back, flow)
    return _Way(flow, lost)


def _led_back(back: Samples | None, field: Field | None) -> Samples | None:
    """The motion of a key's pixels into the frame before, as that into the next frame outwards."""
    if back is None or field is None:
        return None
    further = back + _fetched(field.flow, back)
    further[_unknown(field, back)] = AWAY
    return further


def _joined(way: _Way, anchor: _Way) -> _Way:
    """A way to a block, and on from there."""
    lost = way.lost | (warped(anchor.lost.astype(np.float32), way.flow) > 0.5)
    return _Way(way.flow + _fetched(anchor.flow, way.flow), lost)


def _trusted(way: _Way, back: Samples | None, field: Field) -> KeyMotion:
    """The motion into a key; what the key's own motion does not lead back to its start is lost too."""
    lost = way.lost | _outside(way.flow)
    if back is not None:
        lost = lost | _long(way.flow + warped(back, way.flow))
    return KeyMotion(way.flow, lost.astype(np.float32), (~field.known).astype(np.float32))


def _fetched(flow: Samples, along: Samples) -> Samples:
    """A flow fetched along another, without blends across the edge between two surfaces."""
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
    """Where a flow leaves the picture, which ends half a pixel beyond the middles of its last pixels."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5))


def _long(offsets: Samples, most: float = TURNS_BACK) -> npt.NDArray[np.bool_]:
    return np.asarray(np.square(offsets[..., 0]) + np.square(offsets[..., 1]) > most**2)
