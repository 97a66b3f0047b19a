"""Painted keys matched where they lie: they correct the network, and lend their own paint where nothing moved.

For keys whose paint the network learned, as that of a filter, and for styles of before; those of a hand are carried:
see `impasto.core.keyframe_paint.carried_keys`.

The network's painting of a key's plate is known, and so is the paint; the difference is what the network failed to
learn. Where a frame shows what the key shows, that difference is added to the network's painting of the frame. This
keeps what the network makes of changes nearby, which a copy of the key's paint would lose. Where all surroundings
match too, the network's painting of the key's plate also replaces that of the frame, so that the result is the key's
own paint, without the frame's noise.
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
from impasto.core.keyframe_paint.matching import KeyMatch, KeyView, compared_size, match_keys, nearest, scaled, view_key
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.keys_quality import KeysQuality
from impasto.core.optical_flow import warped

SIZES_KEPT = 2
"""Frame sizes for which prepared keys are cached: a final and its proxy."""
SHARPER = 1.25
"""Frames this many times as wide as the keys get the corrections but not the paint, which would be soft."""
ASPECT = 0.01
"""Relative difference of aspect ratio up to which keys and frame show the same field of view."""
STROKE = 0.1
"""Relative difference of stroke size up to which keys are used."""
LEAST = 1e-3
"""A match whose weights are all below this is skipped."""

Half = npt.NDArray[np.float16]
PaintKey = Callable[[Samples, Samples | None], Samples]
"""Paints a key's plate (H, W, 3) with its guide planes (H, W, n), None for none, by the network alone."""


@dataclass(frozen=True, slots=True)
class KeyedFrame:
    """What of a frame and its settings bears on its keys: the renderer's motion into each, stroke and quality."""

    motion: Sequence[KeyMotion | None] = ()
    stroke: float = 1.0
    quality: KeysQuality = "standard"


@dataclass(frozen=True, slots=True)
class Keyed:
    """A painting with keys laid over it, (H, W, 3), and how much of it is no hand's, (h, w), where it is known."""

    painted: Samples
    invented: Samples | None = None


Lay = Callable[[Samples, float], Keyed]
"""Lays keys over the network's painting (H, W, 3) by an amount in [0, 1]."""


@dataclass(frozen=True, slots=True)
class PreparedKey:
    """A key at the size of the frames: its view, the network's painting of its plate, and the correction, (H, W, 3).

    The correction is paint minus painting, and 0 where there is no paint.
    """

    view: KeyView
    painting: Half
    correction: Half


def refusal_of(facts: KeyFacts, size: tuple[int, int], stroke: float) -> str:
    """Why keys cannot be used on frames of a height and width painted at a stroke; empty where they can."""
    height, width = size
    if abs(width * facts.height / (height * facts.width) - 1) > ASPECT:
        return (
            f"the painted keys are {facts.width}x{facts.height} and this frame is {width}x{height}: "
            "of another shape, so the network paints alone"
        )
    if strokes_differ(facts, width, stroke):
        return f"the painted keys have strokes of their own size: at stroke {stroke:g} the network paints alone"
    return ""


def strokes_differ(facts: KeyFacts, width: int, stroke: float) -> bool:
    """Whether a stroke at this frame width differs from that of the keys by more than `STROKE`."""
    return stroke != 1 and abs(stroke * facts.width / width - 1) > STROKE


class KeyBlend:
    """The keys of one style on one engine. Caches the prepared keys; any thread may call it."""

    def __init__(self, keys: Keys) -> None:
        self.facts = keys.facts
        self._keys = keys
        self._lock = threading.Lock()
        self._prepared: OrderedDict[tuple[tuple[int, int], float], list[PreparedKey]] = OrderedDict()

    def ready(self, picture: Samples, frame: KeyedFrame, paint_key: PaintKey) -> Lay:
        """How the keys are laid over a painting of a picture (H, W, 3). Calls `paint_key` for keys not yet known."""
        prepared = self.prepared((picture.shape[0], picture.shape[1]), frame.stroke, paint_key)
        return lambda painted, amount: Keyed(self.blend(painted, picture, prepared, amount, frame.motion))

    def prepared(self, size: tuple[int, int], stroke: float, paint_key: PaintKey) -> list[PreparedKey]:
        """The keys at a frame's height and width. Calls `paint_key` once for each key if this size is not cached."""
        with self._lock:
            found = self._prepared.get((size, stroke))
            if found is not None:
                self._prepared.move_to_end((size, stroke))
                return found
        made = [self._prepare(index, size, paint_key) for index in range(len(self.facts.frames))]
        with self._lock:
            self._prepared[size, stroke] = made
            while len(self._prepared) > SIZES_KEPT:
                self._prepared.popitem(last=False)
        return made

    def blend(
        self,
        painted: Samples,
        picture: Samples,
        prepared: list[PreparedKey],
        amount: float,
        motion: Sequence[KeyMotion | None] = (),
    ) -> Samples:
        """The network's painting of a picture, both (H, W, 3), with keys blended in by `amount` in [0, 1]; a new array.

        `motion` is the renderer's motion into each key: see `match_keys`.
        """
        height, width = picture.shape[:2]
        size = compared_size(height, width)
        views = [key.view for key in prepared]
        small = scaled(picture, size)
        matches = match_keys(small, views, noise=self.facts.noise, follow=self.facts.follow, motion=motion)
        is_soft = width > SHARPER * self.facts.width
        result = painted.copy()
        for match in matches:
            if match.near.max() >= LEAST:
                _add(result, painted, match, prepared[match.key], amount, is_soft=is_soft)
        return result

    def _prepare(self, index: int, size: tuple[int, int], paint_key: PaintKey) -> PreparedKey:
        keys = self._keys
        plate, paint, painted = (
            scaled(samples_of(tensor[index].numpy()), size) for tensor in (keys.plates, keys.paints, keys.painted)
        )
        painted = painted.reshape(size)
        guides = None
        if keys.guides is not None:
            guides = nearest(samples_of(keys.guides[index].numpy()), size)
        painting = paint_key(plate, guides).astype(np.float16)
        correction = (paint - painting.astype(np.float32)) * painted[..., None]
        view = view_key(plate, painted, compared_size(*size))
        return PreparedKey(view, painting, correction.astype(np.float16))


def _add(result: Samples, painted: Samples, match: KeyMatch, key: PreparedKey, amount: float, *, is_soft: bool) -> None:
    """Add one key's correction and paint to a result, in place."""
    size = (result.shape[0], result.shape[1])
    flow = None if match.flow is None else _larger_flow(match.flow, size)
    result += _larger(amount * match.near, size)[..., None] * _fetched(key.correction, flow)
    if not is_soft and match.around.max() >= LEAST:
        weight = _larger(amount * match.around, size)[..., None]
        result += weight * (_fetched(key.painting, flow) - painted)


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


def samples_of(stored: npt.NDArray[np.uint8] | Half) -> Samples:
    """(C, H, W) as stored, as (H, W, C) float32."""
    whole = np.ascontiguousarray(stored.transpose(1, 2, 0), np.float32)
    return whole / np.float32(255) if stored.dtype == np.uint8 else whole
