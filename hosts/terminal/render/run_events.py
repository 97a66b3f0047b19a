"""Makes the events of a run of `impasto render`, here or on a server, from those of a shot: frames, pace, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from impasto.core.media.frame_numbers import FrameNumbers
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.server.protocol.messages import Cancelled, ShotEnd, ShotEvent, ShotProgress, StoredFrame


class RunEvents:
    """Makes the events of the command from those of a shot, each frame once.

    A shot that is begun anew, because a worker or the server died, is still one run: it starts once, and what an
    earlier attempt finished counts as finished by this run.
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
        """`least_s` is how long frames must have been stored before a pace is derived from them."""
        self._input, self._style, self._show, self._clock, self._least_s = input, style, show, clock, least_s
        self._started: RunStarted | None = None
        self._begun = 0.0
        """When the shot was open for the first time."""
        self._done = 0
        self._first: tuple[float, int] | None = None
        """When the first frames were stored, and how many."""
        self._stored = FrameNumbers()
        self._cached = 0
        self._notes: set[str] = set()

    def on_event(self, event: ShotEvent) -> None:
        """Report what happens to the shot. A start that is not the first is a new attempt, and is not shown."""
        if isinstance(event, ShotProgress):
            if event.stored:
                self._stored_frames(event.stored)
            for text in event.notes:
                self.note(text)
        elif self._started is None:
            self._begun = self._clock()
            self._started = RunStarted(
                self._input,
                event.output,
                self._style,
                event.first,
                event.frames,
                event.skipped,
                event.width,
                event.height,
                event.rate,
            )
            self._show(self._started)

    def note(self, text: str) -> None:
        """Something an artist should know, shown once."""
        if text not in self._notes:
            self._notes.add(text)
            self._show(RunWarning(text))

    def _stored_frames(self, together: Sequence[StoredFrame]) -> None:
        new = {each.number: each for each in together if each.number not in self._stored}
        self._done += len(new)
        self._cached += sum(each.cached for each in new.values())
        frames = self._started.frames if self._started else None
        fps = self.fps()
        for number, each in new.items():
            self._stored.add(number)
            done = len(self._stored)
            left = 0.0 if done == frames else None if frames is None or not fps else max(frames - done, 0) / fps
            self._show(FrameDone(number, each.path, done, frames, round(fps, 3), left, each.invalid_pixels))

    def fps(self) -> float:
        """Frames per second since the first were stored: loading the style is no pace. 0 before there are more."""
        now = self._clock()
        if self._first is None:
            self._first = now, self._done
        since, before = self._first
        return (self._done - before) / (now - since) if now > since + self._least_s else 0.0

    def ended(self, end: ShotEnd) -> None:
        """Show the event that ends the command."""
        # The end knows the time of the last attempt alone, and a lost one took its time too.
        since = self._clock() - self._begun if self._started else 0.0
        seconds = round(max(end.seconds, since), 3)
        path = end.path or None
        if isinstance(end, Cancelled):
            self._show(RunCancelled(path, max(end.rendered, len(self._stored)), seconds))
            return
        skipped = self._started.skipped if self._started else end.skipped
        rendered = end.rendered + end.skipped - skipped
        stages = {name: round(took, 4) for name, took in end.stages.items()}
        # Of a shot so short that it showed no pace, the whole time is the best that is known.
        pace = self.fps() or (rendered / seconds if rendered > 1 and seconds > 0 else 0.0)
        fps = round(pace if rendered else 0.0, 3)
        self._show(
            RunFinished(
                path,
                rendered,
                skipped,
                end.invalid_pixels,
                seconds,
                fps,
                stages,
                precision=end.precision,
                cached=self._cached,
            )
        )
