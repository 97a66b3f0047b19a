"""Parameters that change over a shot, between `Animation` and the stretches of a shot job.

What is left out on the way is what the straight line between two keys gives back to the bit.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from impasto.core.animation import KEYFRAMES, Animation, Track, animation_of
from impasto.core.errors import UnknownName, UsageError
from impasto.core.params import PARAMETERS
from impasto.server.protocol import limits
from impasto.server.protocol.messages import AnimatedParameter, Stretch

STRETCH_VALUES: Final = limits.BLOB_BYTES // 8
STRETCH_BYTES: Final = 32
"""What a stretch takes beside its values, at most."""
GAP: Final = 3
"""Frames without a key that are filled in: their values take no more room than another stretch."""


def animated_of(keys: Mapping[str, Mapping[int, float]]) -> tuple[AnimatedParameter, ...]:
    """Parameter -> frame -> value as the `animated` of a shot job: `{"strength": {1001: 0.2, 1100: 1.0}}`.

    Between two frames a value goes in a straight line, before the first and after the last it stays. Raises UnknownName
    and UsageError for values that cannot be.
    """
    return animated_from(animation_of(keys))


def animated_from(animation: Animation) -> tuple[AnimatedParameter, ...]:
    """The animation as a shot job holds it."""
    return tuple(AnimatedParameter(track.name, _stretches(_lean(track))) for track in animation.tracks)


def require_sendable_animation(animated: Sequence[AnimatedParameter]) -> None:
    """Raise UsageError for an animation that no header can carry."""
    counts = [len(parameter.stretches) for parameter in animated]
    values = sum(len(stretch.values) // 8 for parameter in animated for stretch in parameter.stretches)
    if values * 8 + STRETCH_BYTES * sum(counts) > limits.ANIMATED_BYTES or max(counts, default=0) > limits.ARRAY_ITEMS:
        raise UsageError(
            f"expected at most {limits.ANIMATED_BYTES // 8} values of animated parameters in one shot job, got "
            f"{values} in {sum(counts)} runs; render the shot in ranges with --frames, or give keys in place of a "
            "value for every frame"
        )


def animation_from(animated: Iterable[AnimatedParameter]) -> Animation | None:
    """What travelled as an animation, None for nothing. Raises UnknownName, UsageError for keys that cannot be."""
    tracks = []
    for parameter in animated:
        if all(each.name != parameter.name for each in PARAMETERS):
            raise UnknownName("parameter", parameter.name, (each.name for each in PARAMETERS))
        if sum(len(stretch.values) // 8 for stretch in parameter.stretches) > KEYFRAMES:
            raise UsageError(
                f"expected at most {KEYFRAMES} keys of {parameter.name}, got more; render the shot in ranges"
            )
        frames: list[int] = []
        values = array("d")
        for stretch in parameter.stretches:
            found = array("d", stretch.values)
            if sys.byteorder == "big":
                found.byteswap()
            frames.extend(range(stretch.first, stretch.first + len(found)))
            values.extend(found)
        tracks.append(Track(parameter.name, tuple(frames), tuple(values)))
    return Animation(tuple(tracks)) if tracks else None


def _lean(track: Track) -> Track:
    """The track without the keys inside of a run of equal values."""
    values = track.values
    last = len(values) - 1
    kept = [place for place in range(last + 1) if not (0 < place < last and _is_level(values, place))]
    return Track(track.name, tuple(track.frames[place] for place in kept), tuple(values[place] for place in kept))


def _is_level(values: tuple[float, ...], place: int) -> bool:
    return values[place - 1] == values[place] == values[place + 1]


def _stretches(track: Track) -> tuple[Stretch, ...]:
    """The keys in no more stretches than a list may have, small gaps filled in, where a message has room for that."""
    runs = _runs(track.frames, 0)
    gap = GAP
    while sum(map(len, filled := _runs(track.frames, gap))) * 8 <= limits.ANIMATED_BYTES:
        runs = filled
        if len(runs) + sum(map(len, runs)) // STRETCH_VALUES <= limits.ARRAY_ITEMS:
            break
        gap *= 2
    cut = (run[begin : begin + STRETCH_VALUES] for run in runs for begin in range(0, len(run), STRETCH_VALUES))
    return tuple(Stretch(run[0], _packed(track, run)) for run in cut)


def _runs(frames: tuple[int, ...], gap: int) -> list[range]:
    """Frames as runs; two of them with at most `gap` others between them are in one."""
    runs = [range(frames[0], frames[0] + 1)]
    for frame in frames[1:]:
        if frame - runs[-1][-1] > gap + 1:
            runs.append(range(frame, frame + 1))
        else:
            runs[-1] = range(runs[-1][0], frame + 1)
    return runs


def _packed(track: Track, run: range) -> bytes:
    values = array("d", map(track.at, run))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
