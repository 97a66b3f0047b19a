"""What a render tells while it runs, whoever renders: frames, pace, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from impasto.core.media.frame_numbers import FrameNumbers
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted, RunWarning


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a shot; `path` None where nothing was written."""

    path: str | None
    rendered: int
    skipped: int
    invalid_pixels: int
    seconds: float
    stages: Mapping[str, float]
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A frame that is safe."""

    number: int
    path: str
    invalid_pixels: int


class Told:
    """Turns what happens to a shot into the events of the command, each frame once.

    A shot that was begun anew, because a worker or the server died, goes on in the same account: it starts once, and
    what an earlier attempt finished counts as finished by this run.
    """

    def __init__(
        self,
        input: str,
        style: str,
        show: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        least_s: float = 0.0,
    ) -> None:
        """`least_s` is how long frames must have been stored before that says something about the pace."""
        self._input, self._style, self._show, self._clock, self._least_s = input, style, show, clock, least_s
        self._started: RunStarted | None = None
        self._begun = 0.0
        """When the shot was open for the first time."""
        self._done = 0
        self._first: tuple[float, int] | None = None
        """When the first frames were stored, and how many there were."""
        self._stored = FrameNumbers()
        self._notes: set[str] = set()

    def started(
        self, output: str, first: int, frames: int | None, skipped: int, width: int, height: int, rate: float | None
    ) -> None:
        """The shot is open; again when it is begun anew, which nobody needs to know."""
        if self._started is None:
            self._begun = self._clock()
            self._started = RunStarted(self._input, output, self._style, first, frames, skipped, width, height, rate)
            self._show(self._started)

    def stored(self, *together: Stored) -> None:
        """Frames are safe, and it was learned of all of them at once."""
        new = {each.number: each for each in together if each.number not in self._stored}
        self._done += len(new)
        frames = self._started.frames if self._started else None
        fps = self.fps()
        for number, each in new.items():
            self._stored.add(number)
            done = len(self._stored)
            left = 0.0 if done == frames else None if frames is None or not fps else max(frames - done, 0) / fps
            self._show(FrameDone(number, each.path, done, frames, round(fps, 3), left, each.invalid_pixels))

    def note(self, text: str) -> None:
        """Something an artist should know, said once."""
        if text not in self._notes:
            self._notes.add(text)
            self._show(RunWarning(text))

    def fps(self) -> float:
        """Frames per second since the first were stored: loading the style is no pace. 0 before there are more."""
        now = self._clock()
        if self._first is None:
            self._first = now, self._done
        since, before = self._first
        return (self._done - before) / (now - since) if now > since + self._least_s else 0.0

    def ended(self, outcome: Outcome) -> None:
        """The event that ends the command."""
        # An attempt that was lost took its time too; what ended knows of the last one alone.
        since = self._clock() - self._begun if self._started else 0.0
        seconds = round(max(outcome.seconds, since), 3)
        if outcome.cancelled:
            self._show(RunCancelled(outcome.path, max(outcome.rendered, len(self._stored)), seconds))
            return
        skipped = self._started.skipped if self._started else outcome.skipped
        rendered = outcome.rendered + outcome.skipped - skipped
        stages = {name: round(seconds, 4) for name, seconds in outcome.stages.items()}
        # Of a shot so short that it showed no pace, the whole time is the best that is known.
        pace = self.fps() or (rendered / seconds if rendered > 1 and seconds > 0 else 0.0)
        fps = round(pace if rendered else 0.0, 3)
        self._show(RunFinished(outcome.path, rendered, skipped, outcome.invalid_pixels, seconds, fps, stages))
