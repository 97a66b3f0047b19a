# SPDX-License-Identifier: GPL-3.0-or-later
"""What a strip shows, as plain facts, and whether the server can read it from the files themselves."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["movie", "image", "scene", "meta"]

SPACES: Final = {
    "sRGB": "srgb",
    "Linear Rec.709": "lin_rec709",
    "Linear": "lin_rec709",
    "scene_linear": "lin_rec709",
    "ACEScg": "ACEScg",
    "ACES2065-1": "ACES2065-1",
}
"""Blender's names of colour spaces -> the server's, where both mean the same numbers."""
MOVIES: Final = frozenset(
    {".mov", ".mp4", ".m4v", ".mkv", ".avi", ".webm", ".mxf", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv"}
)
PICTURES: Final = frozenset({".exr", ".png", ".jpg", ".jpeg", ".hdr"})
"""File endings that Blender and the server read alike. TIFF and DPX are not among them: how Blender reads them depends
on more than the strip tells."""
OPAQUE: Final = frozenset({".jpg", ".jpeg", ".hdr"})
PREMULTIPLIED: Final = frozenset({".exr"})
STRAIGHT: Final = frozenset({".png"})
RUNS: Final = 64
"""Beyond so many gaps in the numbering Blender renders the pictures."""

_NUMBER = re.compile(r"^(?P<prefix>.*?)(?P<number>(?:(?<=[._])-|^-)?\d+)(?P<suffix>\.\w+)$")


@dataclass(frozen=True, slots=True)
class StripFacts:
    """The facts that decide which pictures a strip shows when. Frames are those of the timeline."""

    name: str
    kind: Kind
    content_first: int
    """Where its content would begin if nothing were cut off."""
    shown_first: int
    shown_end: int
    """The frame after the last one that is shown."""
    length: int
    """Frames that its content takes on the timeline."""
    media: tuple[str, ...] = ()
    """A movie's file; of pictures one file for each frame of the content, or one for all."""
    movie_frames: int = 0
    movie_rate: float = 0.0
    scene_rate: float = 24.0
    cut_first: int = 0
    """Frames of the media before the content, which a hard cut removed."""
    cut_last: int = 0
    size: tuple[int, int] = (0, 0)
    space: str = "sRGB"
    alpha: Literal["STRAIGHT", "PREMUL"] = "STRAIGHT"
    has_alpha: bool = False
    reversed: bool = False
    strobe: float = 1.0
    altered: tuple[str, ...] = ()
    """What Blender does to the pictures that cannot be copied to another strip: 'it is retimed', …"""

    @property
    def content_end(self) -> int:
        """The frame after the content."""
        return self.content_first + self.length


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """How the server reads the pictures from the media."""

    input: str
    """A path or a pattern with '####'."""
    space: str
    """The colour space of the samples, as the server calls it."""
    numbers: tuple[int, ...]
    """The picture that each frame of the content shows, in the server's numbering."""
    still: bool = False
    """One picture for all frames, whatever its number."""

    def number_at(self, frame: int, content_first: int) -> int:
        """The picture at a frame of the timeline; before and after the content the first and the last stand still."""
        return self.numbers[min(max(frame - content_first, 0), len(self.numbers) - 1)]


def source_mode(facts: StripFacts) -> SourcePlan | str:
    """How the server reads the strip's own media, or why it cannot: 'it is retimed'."""
    if facts.kind in ("scene", "meta"):
        return f"it is a {facts.kind} strip"
    if facts.altered:
        return " and ".join(facts.altered[:2])
    space = SPACES.get(facts.space)
    if space is None:
        return f"its colour space '{facts.space}' is Blender's own"
    return _of_movie(facts, space) if facts.kind == "movie" else _of_pictures(facts, space)


def movie_speed(facts: StripFacts) -> float | None:
    """Frames of the movie for each frame of the timeline; None where the strip's length does not tell.

    Blender does not say whether a movie keeps its own rate in a scene of another, but its length does.
    """
    frames = facts.movie_frames - facts.cut_first - facts.cut_last
    if facts.length == frames:
        return 1.0
    speed = facts.movie_rate / facts.scene_rate if facts.scene_rate > 0 else 0.0
    if speed > 0 and abs(frames / speed - facts.length) <= 1.0:
        return speed
    return None


def sequence_of(names: tuple[str, ...]) -> tuple[str, tuple[int, ...]] | None:
    """Pattern and numbers of pictures that are one numbered sequence, None for pictures that are none."""
    found = [_NUMBER.match(os.path.basename(name)) for name in names]
    folders = {os.path.dirname(name) for name in names}
    if len(folders) != 1 or any(match is None for match in found):
        return None
    matches = [match for match in found if match is not None]
    shapes = {(match["prefix"], match["suffix"]) for match in matches}
    numbers = tuple(int(match["number"]) for match in matches)
    padding = min(len(match["number"].lstrip("-")) for match in matches)
    prefix, suffix = next(iter(shapes))
    if len(shapes) != 1 or set("#@%") & set(prefix + suffix):
        return None
    spelled = (f"{prefix}{'-' if number < 0 else ''}{abs(number):0{padding}}{suffix}" for number in numbers)
    if any(os.path.basename(name) != each for name, each in zip(names, spelled, strict=True)):
        return None
    return os.path.join(folders.pop(), f"{prefix}{'#' * padding}{suffix}"), numbers


def picture_path(pattern: str, number: int) -> str:
    """The file of a sequence's picture."""
    folder, name = os.path.split(pattern)
    place = "#" * name.count("#")
    return os.path.join(folder, name.replace(place, f"{'-' if number < 0 else ''}{abs(number):0{len(place)}}"))


def runs_of(numbers: tuple[int, ...]) -> tuple[range, ...]:
    """Ascending numbers without repetition, as ranges without a gap."""
    runs: list[range] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1].stop == number:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return tuple(runs)


def _of_movie(facts: StripFacts, space: str) -> SourcePlan | str:
    path = facts.media[0]
    if _ending(path) not in MOVIES:
        return f"the server reads no '{_ending(path)}' movies"
    if facts.has_alpha:
        return "its movie has alpha, which Blender and the server read differently"
    speed = movie_speed(facts)
    if speed is None:
        return "its length does not tell at which speed it plays"
    frames = facts.movie_frames - facts.cut_first - facts.cut_last
    if frames < 1:
        return "Blender does not know how many frames its movie has"
    # As Blender counts: in float32, to the nearest frame; the movie's own numbers begin at 1.
    indices = (_movie_index(facts, place, speed, frames) for place in range(facts.length))
    return SourcePlan(path, space, tuple(1 + facts.cut_first + index for index in indices))


def _movie_index(facts: StripFacts, place: int, speed: float, frames: int) -> int:
    index = min(max(_placed(facts, place) * speed, 0.0), frames - 1.0)
    if facts.strobe > 1:
        index -= math.fmod(index, facts.strobe)
    return math.floor(index + 0.5)


def _of_pictures(facts: StripFacts, space: str) -> SourcePlan | str:
    endings = {_ending(path) for path in facts.media}
    if len(endings) != 1 or not endings <= PICTURES:
        return f"the server and Blender do not read {' and '.join(sorted(endings))} pictures alike"
    ending = endings.pop()
    if ending not in OPAQUE and not (
        (ending in PREMULTIPLIED and facts.alpha == "PREMUL") or (ending in STRAIGHT and facts.alpha == "STRAIGHT")
    ):
        return "its alpha is read in another way than its files say"
    if len(facts.media) == 1:
        number = _NUMBER.match(os.path.basename(facts.media[0]))
        return SourcePlan(facts.media[0], space, (1 if number is None else int(number["number"]),), still=True)
    found = sequence_of(facts.media)
    if found is None:
        return "its pictures are not one numbered sequence"
    pattern, numbers = found
    if len(runs_of(numbers)) > RUNS:
        return f"its pictures have more than {RUNS} gaps"
    return SourcePlan(pattern, space, tuple(numbers[_picture_index(facts, place)] for place in range(len(numbers))))


def _picture_index(facts: StripFacts, place: int) -> int:
    index = float(_placed(facts, place))
    if facts.strobe > 1:
        index -= math.fmod(index, facts.strobe)
    return int(index)


def _placed(facts: StripFacts, place: int) -> int:
    return facts.length - 1 - place if facts.reversed else place


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()
