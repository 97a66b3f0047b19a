# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of the timeline are painted of a strip, and which picture each of them shows. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from .media import SourcePlan, StripFacts


@dataclass(frozen=True, slots=True)
class Cover:
    """Frames of the timeline from `first` on, and the picture that each of them shows.

    Those from `shown_first` up to before `shown_end` are seen; the others are handles.
    """

    first: int
    shown_first: int
    shown_end: int
    numbers: tuple[int, ...]

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.first + len(self.numbers)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The pictures to be painted: each once, ascending."""
        return tuple(sorted(set(self.numbers)))

    @property
    def holds(self) -> bool:
        """Whether more than one frame shows the same picture, which then cannot look different in each."""
        return len(self.pictures) < len(self.numbers)

    @property
    def frame_of_number(self) -> dict[int, int]:
        """Picture -> the first frame of the timeline that shows it."""
        found: dict[int, int] = {}
        for place, number in enumerate(self.numbers):
            found.setdefault(number, self.first + place)
        return found


def cover_of(facts: StripFacts, source: SourcePlan | None, wanted: range | None, handles: int) -> Cover:
    """Cover what a strip shows, within `wanted`, and up to `handles` hidden frames on either side.

    Without a source plan the pictures are those that Blender renders, numbered from 1 where the content begins.
    Handles end where the content does. The cover is empty where the strip shows nothing of what is wanted.
    """
    shown_first, shown_end = facts.shown_first, facts.shown_end
    if wanted is not None:
        shown_first, shown_end = max(shown_first, wanted.start), min(shown_end, wanted.stop)
    if shown_first >= shown_end:
        return Cover(shown_first, shown_first, shown_first, ())
    first = min(shown_first, max(facts.content_first, shown_first - handles))
    end = max(shown_end, min(facts.content_end, shown_end + handles))
    number = _rendered_number if source is None else source.number_at
    return Cover(
        first, shown_first, shown_end, tuple(number(frame, facts.content_first) for frame in range(first, end))
    )


def shown_pictures(cover: Cover, painted: frozenset[int]) -> tuple[int, ...]:
    """The picture that each frame of the cover shows; where one failed, the nearest that did not.

    Raises ValueError where no picture was painted.
    """
    there = sorted(painted & set(cover.numbers))
    if not there:
        raise ValueError("no picture was painted")
    nearest = {number: min(there, key=lambda each: (abs(each - number), each)) for number in cover.pictures}
    return tuple(nearest[number] for number in cover.numbers)


def _rendered_number(frame: int, content_first: int) -> int:
    return frame - content_first + 1
