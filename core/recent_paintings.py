"""What was painted last, kept for the frames beside it that look at it too."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

from impasto.core.frame import Frame
from impasto.core.frame_settings import SMOOTHING_REACH, FrameSettings
from impasto.core.smoothing import PaintedPlate, Step, step_between

Painting = TypeVar("Painting")
Kept = TypeVar("Kept")

KEPT = 2 * SMOOTHING_REACH + 2
"""Frames that are kept: a window, and one more because two frames are rendered at once."""


class RecentPaintings(Generic[Painting]):
    """The last frames of a shot with their paintings, and the motion between them. Several threads may ask.

    A frame is known by its array of samples, which is kept with it and written by nobody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paintings: OrderedDict[Hashable, tuple[Any, Painting]] = OrderedDict()
        self._steps: OrderedDict[Hashable, tuple[Any, Step | None]] = OrderedDict()

    def painted(self, frame: Frame, settings: FrameSettings, paint: Callable[[], Painting]) -> Painting:
        """What `paint` makes of a frame with these settings, from memory where it is there."""
        return _remembered(self._lock, self._paintings, (_name(frame), settings), frame, paint)

    def steps(
        self, frames: Sequence[Frame], settings: FrameSettings, plates: Sequence[PaintedPlate]
    ) -> list[Step | None]:
        """The motion from each of these frames to the next; None across a gap in their numbers, and across a cut."""
        found: list[Step | None] = []
        for (one, other), (before, after) in zip(pairwise(frames), pairwise(plates), strict=True):
            if other.number != one.number + 1:
                found.append(None)
                continue
            name = (_name(one), _name(other), settings)
            found.append(_remembered(self._lock, self._steps, name, (one, other), _between(before, after)))
        return found


def _between(before: PaintedPlate, after: PaintedPlate) -> Callable[[], Step | None]:
    return lambda: step_between(before, after)


def _name(frame: Frame) -> Hashable:
    return id(frame.part.pixels), frame.number


def _remembered(
    lock: threading.Lock,
    kept: OrderedDict[Hashable, tuple[Any, Kept]],
    name: Hashable,
    holds: object,
    make: Callable[[], Kept],
) -> Kept:
    """`make`, once for a name while it is among the last `KEPT`; `holds` is kept beside, so that a name stays true."""
    with lock:
        if name not in kept:
            kept[name] = holds, make()
            while len(kept) > KEPT:
                kept.popitem(last=False)
        kept.move_to_end(name)
        return kept[name][1]
