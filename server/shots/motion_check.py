"""Whether the motion vectors of a shot agree with its plates, asked of a few frames before the first is painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from impasto.server.shots.motion import Motion
    from impasto.server.shots.render import ShotJob

PAIRS_ASKED = 5
"""Pairs of neighbouring plates that are asked whether the vectors agree with them, until one knows."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks against motion vectors, in a sentence; `grave` where that cannot be as it should."""

    sentence: str
    grave: bool


def plate_of(job: ShotJob, number: int) -> Frame:
    """One plate of a shot."""
    with open_reader(job.input, frames=FrameRange(number, number), layer=job.layer) as reader:
        return next(iter(reader))


def doubts(
    motion: Motion, job: ShotJob, info: ShotInfo, place: PlateWindows, advance: Callable[[], None]
) -> Iterator[Doubt]:
    """What the plates say against the vectors of each direction, and that nobody could ask them.

    A single frame is held against its neighbours, where the shot has any. `advance` is called for every pair of plates
    that is looked at.
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
        pictures = [scaled(to_working(plate, input_space=job.input_space).picture, place.size) for plate in pair]
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
                yield Doubt(_contradiction(motion, channels, found, pair_of), found.verdict != "still")
    if motion.stamps and not looked_at:
        yield Doubt(
            "no two neighbouring plates were there to hold the motion vectors against: look at the result", False
        )


def _contradiction(motion: Motion, channels: VectorChannels, found: VectorCheck, pair: tuple[int, int]) -> str:
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
