"""Whether the motion vectors of a shot agree with its plates, checked on a few frames before the first is painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from impasto.core.errors import ImpastoError
from impasto.core.frame import Frame
from impasto.core.keyframe_paint.matching import scaled
from impasto.core.media import FrameRange, ShotInfo, open_reader
from impasto.core.motion.conventions import equivalents
from impasto.core.motion.layers import VectorChannels
from impasto.core.motion.vector_check import VectorCheck, check_vectors
from impasto.core.motion.vectors import PlateWindows
from impasto.core.working_picture import to_working
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.motion import ShotMotion

PAIRS_ASKED = 5
"""Pairs of neighbouring plates that the vectors are compared with, until one pair decides."""


@dataclass(frozen=True, slots=True)
class MotionProblem:
    """What speaks against motion vectors, in a sentence; `grave` where the vectors cannot be right."""

    sentence: str
    grave: bool


def plate_of(job: ShotJob, number: int) -> Frame:
    """One plate of a shot."""
    with open_reader(job.input, frames=FrameRange(number, number), layer=job.layer or None) as reader:
        return next(iter(reader))


def problems_with(
    motion: ShotMotion, job: ShotJob, info: ShotInfo, place: PlateWindows, advance: Callable[[], None]
) -> Iterator[MotionProblem]:
    """Where the plates contradict the vectors of a direction, or that there was no pair of plates to compare with.

    A single frame is compared with its neighbours, where the shot has any. `advance` is called before each pair.
    """
    assert info.frame_count is not None
    asked = {side: channels for side, channels in ((1, motion.layer.next), (-1, motion.layer.previous)) if channels}
    first, last = info.first, info.first + info.frame_count - 2
    alone, looked_at = info.frame_count == 1, False
    begins = (first, first - 1) if alone else sorted({round(each) for each in np.linspace(first, last, PAIRS_ASKED)})
    for number in begins:
        if not asked:
            return
        advance()
        pair: list[Frame] = []
        with suppress(*(ImpastoError,) if alone else ()):
            pair = [plate_of(job, each) for each in (number, number + 1)]
        if len(pair) < 2 or any(plate.part.data_window != place.data for plate in pair):
            continue
        space = job.input_space or None
        pictures = [scaled(to_working(plate, input_space=space).picture, place.size) for plate in pair]
        for side, channels in list(asked.items()):
            here = 0 if side == 1 else 1
            if number + here not in motion.stamps:
                continue
            looked_at = True
            field = motion.vectors(number + here, place).towards(side)
            assert field is not None
            found = check_vectors(pictures[here], pictures[1 - here], field)
            if found.verdict != "silent":
                del asked[side]
            if found.verdict in ("turned", "still", "scaled"):
                pair_of = number + here, number + 1 - here
                yield MotionProblem(_contradiction(motion, channels, found, pair_of), found.verdict != "still")
    if motion.stamps and not looked_at:
        yield MotionProblem(
            "no two neighbouring plates were there to hold the motion vectors against: look at the result", False
        )


def _contradiction(motion: ShotMotion, channels: VectorChannels, found: VectorCheck, pair: tuple[int, int]) -> str:
    own, other = found.errors
    layer, path = motion.layer.name, motion.files.path_of(pair[0])
    if found.verdict in ("still", "scaled"):
        return (
            f"expected motion vectors in pixels, '{layer}' of '{path}' says that next to nothing moves, and the plates "
            f"move: frame {pair[1]} is off frame {pair[0]} by {own:.1f}/255, along its optical flow by {other:.1f}; "
            + ("render them unscaled" if found.verdict == "scaled" else "right for water, smoke, or a picture put in")
        )
    meaning = channels.convention
    right = replace(meaning, x=meaning.x * found.signs[0], y=meaning.y * found.signs[1])
    names = equivalents(right, channels.slot, motion.layer.directions) or equivalents(right)
    turned = {(-1, 1): "x", (1, -1): "y", (-1, -1): "x and y"}[found.signs]
    return (
        f"expected motion vectors that agree with the plates, '{layer}' of '{path}' leads frame {pair[0]} to places in "
        f"frame {pair[1]} that differ by {own:.1f}/255, and by {other:.1f} with {turned} turned around: it has another "
        f"convention than {'was said' if motion.layer.said else 'its channels suggest'}; say it as "
        f"--motion PATH:{motion.layer.typed}={' or ='.join(names)}"
    )
