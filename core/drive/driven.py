"""Drivers and a shot become an animation: a value for every frame, the same in whatever order frames are rendered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from impasto.core.animation import KEYFRAMES, Animation, animation_of
from impasto.core.drive.curve import Times
from impasto.core.drive.curve_files import marker_curve, note_curve, table_curve
from impasto.core.drive.expression import SHOTS_SOUND, Driver
from impasto.core.drive.sound import Sound, listened
from impasto.core.errors import UsageError
from impasto.core.media import ShotInfo, open_reader
from impasto.core.media.frame_rate import rate_text
from impasto.core.media.movie_audio import start_of
from impasto.core.media.movie_container import open_sound, picture_stream
from impasto.core.media.movie_reader import shown_times
from impasto.core.params import PARAMETERS

ASSUMED_RATE: Final = Fraction(24)
"""Frames a second of pictures that do not say, as for the movie that is made of them."""
DIGITS: Final = 6
"""Of a driven value, so that the last bits of a spectrum make no other animation."""


@dataclass(frozen=True, slots=True)
class ShotClock:
    """When the frames of a shot are shown: seconds from its first picture, each (n,)."""

    numbers: tuple[int, ...]
    begins: Times
    ends: Times
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Driven:
    """What became of drivers."""

    animation: Animation
    notes: tuple[str, ...]


def driven(drivers: Sequence[Driver], shot: str, *, rate: Fraction | None = None, sound: str = "") -> Driven:
    """The animation that drivers make of a whole shot, with notes for the artist.

    `sound` is a file in the place of the shot's own sound. Values outside a parameter's range are held at its ends, and
    a note says so. Raises UsageError for a shot without an end, two drivers of a parameter, and sound that is not
    there; what reading the sources raises.
    """
    names = [each.name for each in drivers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"expected one driver of {twice}, got two; leave one out")
    with open_reader(shot) as reader:
        info = reader.info
    clock = clock_of(info, rate)
    notes = list(clock.notes)
    tracks: dict[str, dict[int, float]] = {}
    for driver in drivers:
        values, said = _values(driver, info, clock, sound)
        notes += said
        parameter = next(each for each in PARAMETERS if each.name == driver.name)
        wanted = np.round(values * driver.gain + driver.offset, DIGITS)
        held = np.clip(wanted, parameter.minimum, parameter.maximum)
        if beyond := int((held != wanted).sum()):
            notes.append(
                f"{driver.name} is driven from {wanted.min():g} to {wanted.max():g} and held within "
                f"{parameter.minimum:g} and {parameter.maximum:g} on {beyond} of {len(held)} frames"
            )
        tracks[driver.name] = dict(zip(clock.numbers, held.tolist(), strict=True))
    return Driven(animation_of(tracks), tuple(dict.fromkeys(notes)))


def clock_of(info: ShotInfo, rate: Fraction | None) -> ShotClock:
    """When the frames of a shot are shown; UsageError for a still, and for what has no end."""
    if info.frame_count is None or info.kind in ("still", "stream"):
        raise UsageError(f"expected a movie or a sequence to drive parameters over, got '{info.path}'; name a shot")
    if info.frame_count > KEYFRAMES:
        raise UsageError(
            f"expected at most {KEYFRAMES} frames to drive parameters over, got {info.frame_count}; cut the shot"
        )
    times = shown_times(str(info.path)) if info.kind == "movie" else None
    numbers = tuple(range(info.first, info.first + info.frame_count))
    if times is not None and len(times.times) == info.frame_count:
        begins = (times.times - times.times[0]).astype(np.float64) * float(times.time_base)
        step = float(np.median(np.diff(begins))) if len(begins) > 1 else float(1 / (info.rate or ASSUMED_RATE))
        return ShotClock(numbers, begins, np.append(begins[1:], begins[-1] + step))
    of_shot = rate or info.rate or ASSUMED_RATE
    said = f"'{info.path}' states no rate: driven at {rate_text(of_shot)} frames a second"
    edges = np.arange(info.frame_count + 1) / float(of_shot)
    return ShotClock(numbers, edges[:-1], edges[1:], () if rate or info.rate else (said,))


def _values(driver: Driver, info: ShotInfo, clock: ShotClock, sound: str) -> tuple[Times, list[str]]:
    """The source's feature while each frame is shown, and notes."""
    path = driver.source
    extension = os.path.splitext(path)[1].lower()
    if extension == ".csv":
        curve, counts_frames = table_curve(path, driver.feature)
        if counts_frames:
            numbers = np.array(clock.numbers, np.float64)
            return curve.during(numbers, numbers), []
        return curve.during(clock.begins, clock.ends), []
    if extension in (".otio", ".otioz", ".otiod"):
        return marker_curve(path, driver.feature).during(clock.begins, clock.ends), []
    if extension in (".mid", ".midi"):
        return note_curve(path, driver.feature).during(clock.begins, clock.ends), []
    if path == SHOTS_SOUND:
        path = sound or str(info.path)
        if not sound and (info.movie is None or not info.movie.has_audio):
            raise UsageError(f"expected sound in '{info.path}', it has none; name a file with --sound")
    heard = _listened(path)
    origin = _zero_of(path)
    curve = heard.curve(driver.feature)
    notes = [f"the sound of '{path}' is silent: it drives {driver.name} at its lowest"] if heard.silent else []
    return curve.during(clock.begins + origin, clock.ends + origin), notes


@lru_cache(maxsize=4)
def _listened(path: str) -> Sound:
    """One look at a file for all parameters that it drives."""
    return listened(path)


def _zero_of(path: str) -> float:
    """The time on a file's clock that belongs to the first picture: its own first, else where its sound begins."""
    with open_sound(path) as container:
        pictures = picture_stream(container)
        return float(start_of(pictures if pictures is not None else container.streams.audio[0]))
