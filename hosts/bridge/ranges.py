"""Ranges of frames, both ends included, and lists of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable

from impasto.hosts.bridge.errors import BridgeError

_ITEM = re.compile(r"(-?[0-9]{1,9})(?:-(-?[0-9]{1,9})(?:[xX:]([0-9]{1,9}))?)?")
MOST_FRAMES = 100000
"""Of a list, as the command takes it."""


@dataclass(frozen=True)
class FrameSpan:
    """The frames from `first` to `last`."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BridgeError(
                f"expected a range whose end is not before its start, got {self.first}-{self.last}; swap the two"
            )

    @property
    def count(self) -> int:
        """How many frames."""
        return self.last - self.first + 1

    def numbers(self) -> range:
        """Every frame."""
        return range(self.first, self.last + 1)

    def overlaps(self, other: FrameSpan) -> bool:
        """Whether the two have a frame in common."""
        return self.first <= other.last and other.first <= self.last

    def text(self) -> str:
        """As `--frames` takes it."""
        return f"{self.first}-{self.last}"

    def missing(self, present: Iterable[int]) -> list[FrameSpan]:
        """The parts of this range that `present` lacks."""
        return spans(set(self.numbers()) - set(present))


@dataclass(frozen=True)
class FrameList:
    """Frames that need not follow each other: ranges apart from each other, ascending, at least one."""

    spans: tuple[FrameSpan, ...]

    @staticmethod
    def of(first: int, last: int) -> FrameList:
        """The frames from `first` to `last`."""
        return FrameList((FrameSpan(first, last),))

    @staticmethod
    def parse(text: str) -> FrameList:
        """'1001-1100', '1-19x2', '1,3,5' and lists of them, as Nuke writes them. BridgeError for anything else."""
        found: set[int] = set()
        for item in re.split(r"[,\s]+", text.strip()):
            match = _ITEM.fullmatch(item)
            step = int(match.group(3) or 1) if match is not None else 0
            if match is None or step == 0:
                raise BridgeError(f"expected frames as 1001-1100, 1-19x2 or 1,3,5, got '{text}'; correct the list")
            first = int(match.group(1))
            numbers = FrameSpan(first, int(match.group(2) or first)).numbers()[::step]
            if len(numbers) + len(found) > MOST_FRAMES:
                raise BridgeError(f"expected at most {MOST_FRAMES} frames, got '{text}'; paint them in parts")
            found.update(numbers)
        return FrameList(tuple(spans(found)))

    @property
    def first(self) -> int:
        """The first frame."""
        return self.spans[0].first

    @property
    def last(self) -> int:
        """The last frame."""
        return self.spans[-1].last

    @property
    def count(self) -> int:
        """How many frames."""
        return sum(each.count for each in self.spans)

    def numbers(self) -> list[int]:
        """Every frame."""
        return [number for each in self.spans for number in each.numbers()]

    def text(self) -> str:
        """As `--frames` takes it."""
        return self.spans[0].text() if len(self.spans) == 1 else ranges_text(self.spans, len(self.spans))

    def missing(self, present: Iterable[int]) -> list[FrameSpan]:
        """The parts of this list that `present` lacks."""
        return spans(set(self.numbers()) - set(present))


def spans(numbers: Iterable[int]) -> list[FrameSpan]:
    """Numbers in any order as the fewest ranges."""
    found: list[FrameSpan] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1].last + 1:
            found[-1] = FrameSpan(found[-1].first, number)
        else:
            found.append(FrameSpan(number, number))
    return found


def ranges_text(ranges: Iterable[FrameSpan], most: int = 4) -> str:
    """'1001-1004, 1010', cut short after `most` ranges."""
    known = list(ranges)
    texts = [str(each.first) if each.count == 1 else each.text() for each in known[:most]]
    return ", ".join(texts) + (", …" if len(known) > most else "")
