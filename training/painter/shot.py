"""The keys of a shot, painted one after the other, each with the strokes of the one before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from impasto.core.errors import TrainingError
from impasto.core.frame import Frame, Samples
from impasto.core.working_picture import to_plate
from impasto.training.data.coverage import thumbnail
from impasto.training.data.keyframes import SEARCHED
from impasto.training.data.pictures import seen_in
from impasto.training.data.shots import NumberedFrames, spread
from impasto.training.data.teacher_plates import shrunk
from impasto.training.painter.carrying import StrokeTrack
from impasto.training.painter.key_choice import frames_to_paint
from impasto.training.painter.key_painter import KeyPainter, fit_painter
from impasto.training.painter.settings import PainterSettings

POOLED = 12
"""Plates on which the one palette of a shot is fitted."""
POOL_SIDE = 320


@dataclass(frozen=True, slots=True)
class PaintingManner:
    """In the way of which painting (H, W, 3) keys are painted, the plates that share its palette, and the settings.

    `pool` is what `pooled_plates` gives.
    """

    painting: Samples
    pool: Sequence[Samples]
    settings: PainterSettings


@dataclass(frozen=True, slots=True)
class FinishedKey:
    """A painted frame, with everything else of its plate, and the share of its strokes that came from the key before.

    `carried` is None for the first key of a scene.
    """

    frame: Frame
    carried: float | None


def chosen_frames(source: NumberedFrames, count: int, input_space: str | None = None) -> list[int]:
    """Numbers of at most `count` frames of a shot that together show the most of it."""
    searched = spread(source.numbers, SEARCHED)
    thumbs = {frame.number: thumbnail(seen_in(frame, input_space).picture) for frame in source.read(searched)}
    return frames_to_paint(thumbs, count)


def pooled_plates(sources: Sequence[NumberedFrames], input_space: str | None = None) -> list[Samples]:
    """Small plates, spread over all sources, on which their one palette is fitted: (H, W, 3), working space."""
    each = -(-POOLED // len(sources))
    return [
        np.asarray(shrunk(seen_in(frame, input_space).picture, POOL_SIDE), np.float32)
        for source in sources
        for frame in source.read(spread(source.numbers, max(2, each)))
    ]


def painted_keys(
    source: NumberedFrames,
    numbers: Iterable[int],
    manner: PaintingManner,
    input_space: str | None = None,
) -> Iterator[FinishedKey]:
    """Paint some frames of a shot, ascending.

    Strokes follow the frames between, and never pass a cut or a change of the picture's size. TrainingError for a
    number that the shot does not have.
    """
    wanted = set(numbers)
    if unknown := sorted(wanted - set(source.numbers)):
        raise TrainingError(f"expected some of {source.in_words()}, got {unknown[0]}; choose others")
    painter: KeyPainter | None = None
    track: StrokeTrack | None = None
    size, before = (0, 0), np.zeros((0, 0, 3), np.float32)
    for frame in source.read(number for number in source.numbers if min(wanted) <= number <= max(wanted)):
        seen = seen_in(frame, input_space)
        plate = seen.picture
        if plate.shape[:2] != size:
            size, painter, track = (plate.shape[0], plate.shape[1]), None, None
        if track is not None:
            track.follow(plate)
        if frame.number not in wanted:
            continue
        painter = painter or fit_painter(manner.painting, manner.pool, size, manner.settings)
        target = painter.target(plate)
        carried = None if track is None else track.carried(before, target)
        painted = painter.paint(target, carried)
        share = None if carried is None else sum(map(len, carried)) / max(1, sum(map(len, painted.strokes)))
        yield FinishedKey(to_plate(seen, painted.picture, strength=1.0), share)
        track, before = StrokeTrack(painted.strokes, plate), target
