"""Which frames there are, however many: runs of numbers instead of the numbers."""

from __future__ import annotations

from bisect import bisect_right


class FrameNumbers:
    """A set of frame numbers that takes room by its gaps: a camera that runs for a week is one run."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    @property
    def runs(self) -> int:
        """How many runs of consecutive numbers they are."""
        return len(self._firsts)

    def add(self, number: int) -> bool:
        """Take a number in; whether it was new."""
        place = bisect_right(self._firsts, number) - 1
        if place >= 0 and number <= self._lasts[place]:
            return False
        self._count += 1
        follows = place >= 0 and self._lasts[place] == number - 1
        precedes = place + 1 < len(self._firsts) and self._firsts[place + 1] == number + 1
        if follows and precedes:
            self._lasts[place] = self._lasts.pop(place + 1)
            del self._firsts[place + 1]
        elif follows:
            self._lasts[place] = number
        elif precedes:
            self._firsts[place + 1] = number
        else:
            self._firsts.insert(place + 1, number)
            self._lasts.insert(place + 1, number)
        return True
