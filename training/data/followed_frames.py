"""Frames between and beyond the keys of a shot, with their motion into keys and into each other.

The keys' paint is carried to these frames, and from them on: surfaces that turn or change light are found again over a
short way where they would not be over a long one. Motion is chained over every frame between and never crosses a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from torch import Tensor

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.matching import compared_size, scaled
from impasto.core.keyframe_paint.plates import Plate, blurred, difference, plate_of
from impasto.core.motion.chains import joined_flow

APART = 6
"""Frames between two frames that are followed, at least."""
MOST = 24
"""Frames of a shot that are followed: what a style file bears, and memory."""
REACH = 240
"""Frames before the first key and after the last that are followed at most."""
BROKEN = 30 / 255
"""Difference along the motion from which a pixel is not what it was."""
CUT = 0.6
"""Share of such pixels from which two frames are of two scenes."""


@dataclass(frozen=True, slots=True)
class ShotFrame:
    """A frame of the shot as it is read: its number, picture (3, H, W) as training stores it, guides, small plate."""

    number: int
    picture: Tensor
    guides: Tensor | None
    plate: Plate


@dataclass(frozen=True, slots=True)
class FollowedFrame:
    """A frame to which paint is carried; `leads` are the motions into keys and frames that are followed before it.

    Frame number -> (h, w, 2) of the compared size.
    """

    number: int
    picture: Tensor
    guides: Tensor | None
    leads: dict[int, Samples] = field(hash=False)


@dataclass(frozen=True, slots=True)
class FollowedShot:
    """The frames of a shot that are followed, in the order in which paint reaches them, and the frames after cuts."""

    frames: tuple[FollowedFrame, ...] = ()
    cuts: tuple[int, ...] = ()


def reach_of(first: int, last: int, keys: Sequence[int]) -> tuple[int, int]:
    """The first frame of a shot that is followed, and the one after the last."""
    return max(first, min(keys) - REACH), min(last, max(keys) + REACH) + 1


def followed_numbers(first: int, last: int, keys: Sequence[int]) -> list[int]:
    """The frames of a shot that are followed, ascending: evenly between keys, and out to both ends."""
    first, end = reach_of(first, last, keys)
    last, keys = end - 1, sorted(keys)
    step = max(APART, -(-(last - first + 1) // MOST))
    found: set[int] = set()
    for low, high in pairwise(keys):
        parts = max(1, round((high - low) / step))
        found.update(low + round(index * (high - low) / parts) for index in range(1, parts))
    found.update({*range(keys[-1] + step, last, step), *range(keys[0] - step, first, -step), first, last})
    return sorted(found - set(keys))


def followed_shot(frames: Iterable[ShotFrame], keys: Sequence[int], numbers: Sequence[int]) -> FollowedShot:
    """Follow a shot: its frames ascend without a gap, from the first to the last of keys and followed numbers."""
    stations = set(keys) | set(numbers)
    kept: dict[int, ShotFrame] = {}
    down: dict[int, tuple[int, Samples]] = {}
    """Station -> the station before it, and the motion into that."""
    up: dict[int, tuple[int, Samples]] = {}
    cuts = []
    back: Samples | None = None
    """Motion from the frame at hand into the last station."""
    ahead: Samples | None = None
    """Motion from the last station into the frame at hand."""
    last: int | None = None
    for frame, step in _steps(frames):
        if step is None:
            if last is not None:
                cuts.append(frame.number)
            back = ahead = last = None
        elif last is not None and back is not None and ahead is not None:
            back = joined_flow(step.back, back)
            ahead = joined_flow(ahead, step.ahead)
        if frame.number in stations:
            if last is not None and back is not None and ahead is not None:
                down[frame.number], up[last] = (last, back), (frame.number, ahead)
            kept[frame.number] = frame
            last = frame.number
            back = ahead = np.zeros((*frame.plate.luma.shape, 2), np.float32)
    ordered = sorted((number for number in kept if number not in keys), key=lambda n: (_away(n, keys), n))
    reached, found = set(keys), []
    for number in ordered:
        leads: dict[int, Samples] = {}
        for links in (down, up):
            leads |= _leads(number, links, reached, set(keys))
        if leads:
            found.append(FollowedFrame(number, kept[number].picture, kept[number].guides, leads))
            reached.add(number)
    return FollowedShot(tuple(found), tuple(cuts))


@dataclass(frozen=True, slots=True)
class _Step:
    back: Samples
    ahead: Samples


def _steps(frames: Iterable[ShotFrame]) -> Iterator[tuple[ShotFrame, _Step | None]]:
    """Each frame with the motion into the frame given before and out of it; None for the first of a scene.

    A single frame unlike its neighbours, as in a flash, is left out.
    """
    before: ShotFrame | None = None
    odd: ShotFrame | None = None
    for frame in frames:
        step = None if before is None else _step(before, frame)
        if before is None or step is not None:
            odd = None
        elif odd is None:
            odd = frame
            continue
        else:
            # Two in a row that are unlike: a cut, and the first of them begins the scene.
            yield odd, None
            step, odd = _step(odd, frame), None
        yield frame, step
        before = frame
    if odd is not None:
        yield odd, None


def _step(before: ShotFrame, frame: ShotFrame) -> _Step | None:
    """The motion between two frames; None where they are of two scenes."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    none = np.zeros((*frame.plate.luma.shape, 2), np.float32)
    back = np.asarray(search.calc(frame.plate.luma, before.plate.luma, none.copy()), np.float32)
    if (blurred(difference(frame.plate, before.plate, back), 2.0) > BROKEN).mean() > CUT:
        return None
    return _Step(back, np.asarray(search.calc(before.plate.luma, frame.plate.luma, none), np.float32))


def _leads(number: int, links: dict[int, tuple[int, Samples]], reached: set[int], keys: set[int]) -> dict[int, Samples]:
    """On one side, the motion into the next station if paint has reached it, and into the next key."""
    found: dict[int, Samples] = {}
    station, flow = number, None
    while station in links:
        station, further = links[station]
        flow = further if flow is None else joined_flow(flow, further)
        if station in keys or (station in reached and not found):
            found[station] = flow
        if station in keys:
            break
    return found


def _away(number: int, keys: Sequence[int]) -> int:
    return min(abs(number - key) for key in keys)


def shot_frame(number: int, picture: Samples, stored: Tensor, guides: Tensor | None) -> ShotFrame:
    """A frame as it is followed; `picture` is (H, W, 3), `stored` the same as training stores it."""
    return ShotFrame(number, stored, guides, plate_of(scaled(picture, compared_size(*picture.shape[:2]))))
