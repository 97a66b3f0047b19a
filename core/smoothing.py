"""Calm without order: each painting takes from its neighbours what they agree on.

A frame sees a declared window of plates and each plate's own painting, never what was rendered last, so that frames
may be rendered in any order and in any pieces. The plates' flow carries the neighbours' paint to the frame; it counts
where the flow leads there and back, where the plates agree, and where the paint agrees. Elsewhere the frame keeps its
own paint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.colour import LUMA
from impasto.core.colour.hdr_residual import brightest
from impasto.core.frame import Samples
from impasto.core.frame_settings import SMOOTHING_REACH
from impasto.core.keyframe_paint.plates import fetched, inside
from impasto.core.motion.chains import joined_flow

COMPARED = 640
"""Longest side in pixels at which larger plates are compared, and half of a smaller one's."""
LEAST_SIDE = 16
"""Below it nothing can be followed, and every frame keeps its own paint."""
PLATE_DIFFERS = 14 / 255
"""Difference of two plates at which a neighbour's paint counts 1/e."""
PAINT_DIFFERS = 0.2
"""Difference of two paintings at which the neighbour's counts 1/e."""
RETURNS = 1.0
"""Pixels, for each frame of distance, by which motion there and back may miss its start until paint counts 1/e."""
CUT = 0.3
"""Where less than this share of a plate agrees with the next one, the shot is cut between them."""


@dataclass(frozen=True, slots=True)
class PaintedPlate:
    """A plate and its own painting, (H, W, 3) float32 in working space, and both as they are compared."""

    picture: Samples
    painted: Samples
    small: Samples
    small_paint: Samples
    codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    """Luma of the small plate, 8 bits."""

    @classmethod
    def of(cls, picture: Samples, painted: Samples) -> PaintedPlate:
        """The two, with what is compared of them."""
        small = _small(picture)
        codes = np.rint(np.clip(small @ LUMA, 0, 1) * 255).astype(np.uint8)
        return cls(picture, painted, small, _small(painted), codes)


@dataclass(frozen=True, slots=True)
class Step:
    """The motion of small plates from one to its neighbour, and of the neighbour back, (h, w, 2) pixels."""

    there: Samples
    back: Samples

    def reversed(self) -> Step:
        """The same as the neighbour sees it."""
        return Step(self.back, self.there)

    def lengthened(self, further: Step) -> Step:
        """This motion, and from its end another."""
        return Step(joined_flow(self.there, further.there), joined_flow(further.back, self.back))


def step_between(first: PaintedPlate, second: PaintedPlate) -> Step | None:
    """The motion between two plates next to each other; None across a cut, and for sizes that cannot be compared."""
    if first.picture.shape != second.picture.shape or min(first.small.shape[:2]) < LEAST_SIDE:
        return None
    # Half the size and its finest scale is what the preset computes of the whole size.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    there, back = (
        np.asarray(search.calc(ours, theirs, None), np.float32)  # type: ignore[call-overload]
        for ours, theirs in ((first.codes, second.codes), (second.codes, first.codes))
    )
    step = Step(there, back)
    agree = _agreement(first, second, step, 1)
    return step if float(np.mean(agree > 0.5)) >= CUT else None


def smoothed(window: Sequence[PaintedPlate], steps: Sequence[Step | None], at: int, amount: float) -> Samples:
    """The paint of plate `at` of a window of consecutive ones, (H, W, 3), drawn towards what the others agree on.

    `steps[i]` is the motion from plate i to the next, None where nothing leads across. Where nothing agrees, and where
    the paint changes nothing of the plate, it is its own, bit for bit. `amount` in [0, 1]: 0 is the paint as it is, at
    1 a neighbour that agrees counts twice what the plate itself counts.
    """
    centre = window[at]
    if not amount or np.array_equal(centre.picture, centre.painted):
        return centre.painted
    height, width = centre.painted.shape[:2]
    change, weights = np.zeros_like(centre.painted), np.zeros((height, width), np.float32)
    scale = np.array((width / centre.small.shape[1], height / centre.small.shape[0]), np.float32)
    for toward in (1, -1):
        way: Step | None = None
        for distance in range(1, SMOOTHING_REACH + 1):
            other = at + toward * distance
            step = steps[min(other, other - toward)] if 0 <= other < len(window) else None
            if step is None:
                break
            further = step if toward == 1 else step.reversed()
            way = further if way is None else way.lengthened(further)
            plate = window[other]
            weight = _agreement(centre, plate, way, distance) * _likeness(centre, plate, way)
            weight = np.asarray(cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            flow = np.asarray(cv2.resize(way.there, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            carried = fetched(plate.painted, flow * scale)
            carried -= centre.painted
            carried *= weight[..., None]
            change += carried
            weights += weight
    change /= (weights + np.float32(1 / amount - 0.5))[..., None]
    return centre.painted + change


def _agreement(centre: PaintedPlate, plate: PaintedPlate, way: Step, distance: int) -> Samples:
    """How far a plate shows what the centre shows, in [0, 1]: (h, w). 0 where the motion leaves the picture."""
    apart = brightest(np.abs(fetched(plate.small, way.there, cv2.INTER_LINEAR) - centre.small))
    apart = np.maximum(cv2.blur(apart, (5, 5)), apart / 2)
    missed = way.there + fetched(way.back, way.there, cv2.INTER_LINEAR)
    missed = np.einsum("hwc,hwc->hw", missed, missed) * np.float32((RETURNS * distance) ** -2)
    return np.asarray(cv2.exp(-np.square(apart * np.float32(1 / PLATE_DIFFERS)) - missed) * inside(way.there))


def _likeness(centre: PaintedPlate, plate: PaintedPlate, way: Step) -> Samples:
    """How far the paint of two plates agrees, in [0, 1]: (h, w)."""
    apart = brightest(np.abs(fetched(plate.small_paint, way.there, cv2.INTER_LINEAR) - centre.small_paint))
    return np.asarray(cv2.exp(-np.square(cv2.blur(apart, (3, 3)) * np.float32(1 / PAINT_DIFFERS))), np.float32)


def _small(picture: Samples) -> Samples:
    height, width = picture.shape[:2]
    shrink = max(2.0, max(height, width) / COMPARED)
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
