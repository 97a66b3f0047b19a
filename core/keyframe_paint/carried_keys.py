"""The keys of a style whose paint is carried to where its surfaces are: what a frame needs of them, and their cache."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.blending import SIZES_KEPT, Keyed, KeyedFrame, Lay, PaintKey, samples_of
from impasto.core.keyframe_paint.carrying import ReadyKey, carry, chosen, glance_of, laid, ready_key
from impasto.core.keyframe_paint.invention import invented
from impasto.core.keyframe_paint.matching import nearest, scaled
from impasto.core.keyframe_paint.plates import Plate
from impasto.core.keyframe_paint.stored_keys import Keys


class CarriedKeys:
    """The keys of one style on one engine. Prepares a key for the first frame that shows it; any thread may call it."""

    def __init__(self, keys: Keys) -> None:
        self.facts = keys.facts
        self._keys = keys
        self._lock = threading.Lock()
        self._glances: list[Plate] = []
        self._prepared: OrderedDict[tuple[int, int], dict[int, ReadyKey]] = OrderedDict()

    def ready(self, picture: Samples, frame: KeyedFrame, paint_key: PaintKey) -> Lay:
        """How the keys are laid over a painting of a picture (H, W, 3). Calls `paint_key` for keys not yet known.

        At best quality what no key shows is invented from those painted by hand.
        """
        size, facts = (picture.shape[0], picture.shape[1]), self.facts
        best = frame.quality == "best"
        found = chosen(picture, self._glance(), len(facts.frames), frame.quality, facts.noise, frame.motion)
        lending = set(range(len(facts.frames))) if best else set()
        prepared = {index: self._painted(index, size, paint_key) for index in sorted({*found, *lending})}
        keys = [prepared[index] for index in found]
        motion = [frame.motion[index] if index < len(frame.motion) else None for index in found]

        def lay(painted: Samples, amount: float) -> Keyed:
            carried = carry(painted, picture, keys, frame.quality, facts.noise, motion) if keys else None
            base = painted
            if best and (carried is not None):
                base, _ = invented(painted, picture, carried, [prepared[index] for index in sorted(lending)])
            if carried is None:
                return Keyed(painted, np.ones(keys[0].held.shape if keys else size, np.float32))
            result = laid(base, carried, 1.0)
            result = result if amount == 1 else np.asarray(painted + amount * (result - painted), np.float32)
            return Keyed(result, 1 - carried.confidence * (1 - np.clip(carried.invented, 0, 1)))

        return lay

    def _glance(self) -> list[Plate]:
        with self._lock:
            if not self._glances:
                self._glances = [glance_of(samples_of(plate.numpy())) for plate in self._keys.plates]
            return self._glances

    def _painted(self, index: int, size: tuple[int, int], paint_key: PaintKey) -> ReadyKey:
        with self._lock:
            found = self._prepared.setdefault(size, {})
            self._prepared.move_to_end(size)
            while len(self._prepared) > SIZES_KEPT:
                self._prepared.popitem(last=False)
            if index in found:
                return found[index]
        made = self._prepare(index, size, paint_key)
        with self._lock:
            found[index] = made
        return made

    def _prepare(self, index: int, size: tuple[int, int], paint_key: PaintKey) -> ReadyKey:
        keys, by_hand = self._keys, len(self.facts.frames)
        plate, paint, held = (
            scaled(samples_of(tensor[index].numpy()), size) for tensor in (keys.plates, keys.paints, keys.painted)
        )
        guides = None if keys.guides is None else nearest(samples_of(keys.guides[index].numpy()), size)
        made = None
        if index >= by_hand and keys.invented is not None:
            made = scaled(samples_of(keys.invented[index - by_hand].numpy()), size).reshape(size)
        return ready_key(plate, paint, held.reshape(size), paint_key(plate, guides), made)
