"""Animated parameters: values at key frames, and the value at every frame between them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.params import PARAMETERS, Params

FRAMES: Final = range(-(1 << 31), 1 << 31)
"""Valid frame numbers."""
KEYFRAMES: Final = 100_000
"""Most values of one parameter."""


@frozen_dataclass
class Track:
    """One parameter over a shot: its values at key frames by ascending frame, linear between them, constant outside.

    Raises UnknownName for an unknown parameter, UsageError for frames out of order and for a value outside the
    parameter's range.
    """

    name: str
    frames: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        parameter = next((each for each in PARAMETERS if each.name == self.name), None)
        if parameter is None:
            raise UnknownName("parameter", self.name, (each.name for each in PARAMETERS))
        if not self.frames or len(self.frames) != len(self.values):
            raise UsageError(
                f"expected keys of {self.name} with a value for each frame, got {len(self.frames)} frames and "
                f"{len(self.values)} values; give at least one key"
            )
        if len(self.frames) > KEYFRAMES:
            raise UsageError(
                f"expected at most {KEYFRAMES} keys of {self.name}, got {len(self.frames)}; render the shot in ranges"
            )
        for before, after in pairwise(self.frames):
            if before >= after:
                raise UsageError(f"expected keys of {self.name} by ascending frame, got frame {after} after {before}")
        for frame, value in zip(self.frames, self.values, strict=True):
            if frame not in FRAMES:
                raise UsageError(f"expected frames from {FRAMES[0]} to {FRAMES[-1]}, got {frame} in {self.name}")
            if not math.isfinite(value) or not parameter.minimum <= value <= parameter.maximum:
                raise UsageError(
                    f"expected {self.name} between {parameter.minimum:g} and {parameter.maximum:g} at frame {frame}, "
                    f"got {value!r}"
                )

    def at(self, frame: int) -> float:
        """The value at a frame; at a key frame exactly its own."""
        after = bisect_right(self.frames, frame)
        if after == 0:
            return self.values[0]
        if after == len(self.frames) or self.frames[after - 1] == frame:
            return self.values[after - 1]
        (left, right), (low, high) = self.frames[after - 1 : after + 1], self.values[after - 1 : after + 1]
        value = low + (high - low) * ((frame - left) / (right - left))
        # Rounding must not carry it beyond its neighbours, which may be the ends of the range.
        return min(max(value, min(low, high)), max(low, high))


@frozen_dataclass
class Animation:
    """The animated parameters of a shot. A parameter has at most one track."""

    tracks: tuple[Track, ...]

    def __post_init__(self) -> None:
        names = [track.name for track in self.tracks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"expected the keys of {twice} once, got them twice; give them in one place")

    def params(self, frame: int, base: Params) -> Params:
        """Every parameter at a frame; `base` has those that are not animated."""
        return replace(base, **{track.name: track.at(frame) for track in self.tracks})


def animation_of(values: Mapping[str, Mapping[int, float]]) -> Animation:
    """Parameter -> frame -> value, in any order, as tracks. Raises as `Track` does."""
    tracks = []
    for name, track in values.items():
        frames = tuple(sorted(track))
        # Adding zero turns -0 into 0, so that equal values have equal text.
        tracks.append(Track(name, frames, tuple(float(track[frame]) + 0.0 for frame in frames)))
    return Animation(tuple(tracks))
