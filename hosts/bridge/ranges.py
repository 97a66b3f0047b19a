"""Ranges of frames, both ends included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable

from impasto.hosts.bridge.errors import BridgeError

_TEXT = re.compile(r"\s*(-?\d+)\s*(?:-\s*(-?\d+)\s*)?")


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

    @staticmethod
    def parse(text: str) -> FrameSpan:
        """'1001-1100', or '1001' for one frame. BridgeError for anything else."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise BridgeError(f"expected frames as 1001-1100, got '{text}'; give first and last")
        first = int(found.group(1))
        return FrameSpan(first, first if found.group(2) is None else int(found.group(2)))

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
