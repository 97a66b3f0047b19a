"""A curve over time, and its value while a frame is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
"""Seconds."""

FALL_S = 0.25
"""Seconds in which an event (an onset, a marker, a note) fades from its strength to nothing."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Values from 0 to 1 at times in seconds, ascending, on the clock of its file. Outside it keeps its ends.

    `reading` says what a frame gets of it: 'mean' and 'peak' of what happens while it is shown, 'here' the value at its
    beginning.
    """

    times: Times
    values: Times
    reading: Literal["mean", "peak", "here"] = "mean"

    def during(self, begins: Times, ends: Times) -> Times:
        """The value for frames that are shown from `begins` to `ends`, both (n,) in seconds."""
        if self.reading == "here":
            return np.interp(begins, self.times, self.values)
        first = np.searchsorted(self.times, begins, side="left")
        last = np.searchsorted(self.times, ends, side="left")
        found = np.interp((begins + ends) / 2, self.times, self.values)  # where no sample lies within the frame
        for place in np.flatnonzero(last > first):
            within = self.values[first[place] : last[place]]
            found[place] = within.mean() if self.reading == "mean" else within.max()
        return found


def events(times: Times, strengths: Times, begins: Times, ends: Times | None = None) -> Curve:
    """Events as a curve: from `begins` to `ends` an event has its strength (n,), then it fades; the strongest counts.

    `times` are those of the curve, ascending.
    """
    values = np.zeros_like(times)
    for strength, begin, end in zip(strengths, begins, begins if ends is None else ends, strict=True):
        first, last = np.searchsorted(times, (begin, end + FALL_S), side="left")
        faded = 1 - np.maximum(times[first:last] - end, 0) / FALL_S
        values[first:last] = np.maximum(values[first:last], strength * faded)
    return Curve(times, np.clip(values, 0, 1), "peak")
