"""When the pictures of a file are due, so that it plays in real time."""

from __future__ import annotations

from typing import Final

LOST_S: Final = 0.5
"""Whoever is later than this goes on from here, and does not hurry after what is lost."""


class Pace:
    """A timeline without drift: each picture has its time from the start, not from the one before."""

    def __init__(self, now: float) -> None:
        self._origin = now

    def due(self, media_s: float, now: float) -> float:
        """When something that lies so many seconds behind the file's start is due, on the clock of `now`.

        After a pause of the machine, or where reading is slower than real time, the timeline moves on to now.
        """
        due = self._origin + media_s
        if now - due > LOST_S:
            self._origin += now - due
            due = now
        return due
