"""Keys on a painted frame: the network corrected by what it got wrong in them, and their own paint where nothing moved.

The network's answer to a key's plate is known, and so is the paint; their difference is what the network failed to
learn. Where a frame shows what the key shows, that difference is added to the network's answer: it keeps what the
network makes of changes nearby, as paint copied from the key would not. Where whole surroundings are the key's,
the answer to the key's plate also takes the place of that to the frame, so that the result is the key's own paint,
free of the frame's noise.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.card import KeyFacts
from impasto.core.frame import KeyMotion, Samples
from impasto.core.keyframe_paint.matching import KeyView, Shown, compared_size, find_shown, nearest, scaled, view_key
from impasto.core.keyframe_paint.stored import Keys
from impasto.core.temporal import warped

SIZES_KEPT = 2
"""Frame sizes for which the network's answers to the keys are kept: a final and its proxy."""
SHARPER = 1.25
"""Frames this much larger than the keys get their corrections, and no longer their paint, which would be soft there."""
ASPECT = 0.01
"""Relative difference of width to height below which keys and frame show the same field."""
STROKE = 0.1
"""How far, relative, strokes may be from the size that the keys were painted with."""
LEAST = 1e-3
"""Weights below this everywhere are not worth a look at the full size."""

Half = npt.NDArray[np.float16]
Answer = Callable[[Samples, Samples | None], Samples]
"""A plate (H, W, 3) and its guide planes (H, W, n), None for none, painted by the network alone."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A key at the size of the frames: its view, the network's answer to its plate, and what that lacks, (H, W, 3)."""

    view: KeyView
    answer: Half
    lacking: Half


def strokes_differ(facts: KeyFacts, width: int, stroke: float) -> bool:
    """Whether frames of this width are painted at a stroke that keys were not painted with."""
    return stroke != 1 and abs(stroke * facts.width / width - 1) > STROKE


class KeyBlend:
    """The keys of one style on one engine. Remembers the network's answers to them; any thread may ask."""

    def __init__(self, keys: Keys) -> None:
        self.facts = keys.facts
        self._keys = keys
        self._lock = threading.Lock()
        self._sketches: OrderedDict[tuple[tuple[int, int], float], list[Sketch]] = OrderedDict()

    def refusal(self, size: tuple[int, int], stroke: float) -> str:
        """Why the keys cannot be used on frames of a height and width painted at a stroke; empty where they can."""
        height, width = size
        facts = self.facts
        if abs(width * facts.height / (height * facts.width) - 1) > ASPECT:
            return (
                f"the painted keys are {facts.width}x{facts.height} and this frame is {width}x{height}: "
                "of another shape, so the network paints alone"
            )
        if strokes_differ(facts, width, stroke):
            return f"the painted keys have strokes of their own size: at stroke {stroke:g} the network paints alone"
        return ""

    def sketches(self, size: tuple[int, int], stroke: float, answer: Answer) -> list[Sketch]:
        """The keys at a frame's height and width; `answer` is called once for each key where this size is new."""
        with self._lock:
            found = self._sketches.get((size, stroke))
            if found is not None:
                self._sketches.move_to_end((size, stroke))
                return found
        made = [self._sketch(index, size, answer) for index in range(len(self.facts.frames))]
        with self._lock:
            self._sketches[size, stroke] = made
            while len(self._sketches) > SIZES_KEPT:
                self._sketches.popitem(last=False)
        return made

    def blend(
        self,
        painted: Samples,
        picture: Samples,
        sketches: list[Sketch],
        amount: float,
        motion: Sequence[KeyMotion | None] = (),
    ) -> Samples:
        """The network's painting of a picture, both (H, W, 3), with the keys by `amount` in [0, 1]; a new array.

        `motion` is what a renderer says of the way into each key: see `find_shown`.
        """
        height, width = picture.shape[:2]
        size = compared_size(height, width)
        views = [sketch.view for sketch in sketches]
        small = scaled(picture, size)
        shown = find_shown(small, views, noise=self.facts.noise, follow=self.facts.follow, motion=motion)
        is_soft = width > SHARPER * self.facts.width
        result = painted.copy()
        for each in shown:
            if each.near.max() >= LEAST:
                _add(result, painted, each, sketches[each.key], amount, is_soft=is_soft)
        return result

    def _sketch(self, index: int, size: tuple[int, int], answer: Answer) -> Sketch:
        keys = self._keys
        plate, paint, painted = (
            scaled(_samples(tensor[index].numpy()), size) for tensor in (keys.plates, keys.paints, keys.painted)
        )
        painted = painted.reshape(size)
        guides = None
        if keys.guides is not None:
            guides = nearest(_samples(keys.guides[index].numpy()), size)
        answered = answer(plate, guides).astype(np.float16)
        lacking = (paint - answered.astype(np.float32)) * painted[..., None]
        view = view_key(plate, painted, compared_size(*size))
        return Sketch(view, answered, lacking.astype(np.float16))


def _add(result: Samples, painted: Samples, shown: Shown, sketch: Sketch, amount: float, *, is_soft: bool) -> None:
    """Add what one key has to say to a result, in place."""
    size = (result.shape[0], result.shape[1])
    flow = None if shown.flow is None else _larger_flow(shown.flow, size)
    result += _larger(amount * shown.near, size)[..., None] * _fetched(sketch.lacking, flow)
    if not is_soft and shown.around.max() >= LEAST:
        weight = _larger(amount * shown.around, size)[..., None]
        result += weight * (_fetched(sketch.answer, flow) - painted)


def _fetched(stored: Half, flow: Samples | None) -> Samples:
    whole = stored.astype(np.float32)
    return whole if flow is None else warped(whole, flow)


def _larger(weights: Samples, size: tuple[int, int]) -> Samples:
    if weights.shape == size:
        return weights
    return np.asarray(cv2.resize(weights, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _larger_flow(flow: Samples, size: tuple[int, int]) -> Samples:
    """A flow at a larger size, its offsets in pixels of that size."""
    if flow.shape[:2] == size:
        return flow
    scale = np.array([size[1] / flow.shape[1], size[0] / flow.shape[0]], np.float32)
    return np.asarray(cv2.resize(flow, size[::-1], interpolation=cv2.INTER_LINEAR) * scale, np.float32)


def _samples(stored: npt.NDArray[np.uint8] | Half) -> Samples:
    """(C, H, W) as stored, as (H, W, C) float32."""
    whole = np.ascontiguousarray(stored.transpose(1, 2, 0), np.float32)
    return whole / np.float32(255) if stored.dtype == np.uint8 else whole
