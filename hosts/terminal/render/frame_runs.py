"""A render of frames that do not follow each other, as one shot job for each run of them, shown as one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from impasto.core.errors import UsageError
from impasto.core.media.open import is_movie
from impasto.core.media.shot import FrameRange
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted
from impasto.server.protocol.messages import ShotJob

Show = Callable[[Event], None]


def render_runs(job: ShotJob, runs: Sequence[FrameRange], show: Show, render: Callable[[ShotJob, Show], bool]) -> bool:
    """Render these frames of a job, run after run; whether all came to their end. No runs are the whole shot.

    UsageError for a movie of several runs, which would close up their gaps. Raises what `render` raises.
    """
    if not runs:
        return render(job, show)
    if len(runs) > 1 and is_movie(job.output):
        raise UsageError(
            f"expected frames in a row for the movie '{job.output}', got {len(runs)} runs with gaps between; write a "
            "sequence such as painted.####.exr, or give one range"
        )
    joined = JoinedEvents(show, sum(each.last - each.first + 1 for each in runs), len(runs))
    return all(render(replace(job, first=each.first, last=each.last), joined.show) for each in runs)


class JoinedEvents:
    """Turns the events of several runs, one after the other, into those of one."""

    def __init__(self, show: Show, frames: int, runs: int) -> None:
        self._show, self._frames, self._runs_left = show, frames, runs
        self._started = False
        self._before = RunFinished()
        """The sum of the runs that have ended."""

    def show(self, event: Event) -> None:
        """Show an event of the run under way, counted from the first one on."""
        if isinstance(event, RunStarted):
            self._frames -= event.skipped
            if not self._started:
                self._started = True
                self._show(replace(event, frames=self._frames))
        elif isinstance(event, FrameDone):
            done = self._before.frames + event.done
            left = None if not event.fps else max(self._frames - done, 0) / event.fps
            self._show(replace(event, done=done, frames=self._frames, remaining_s=left))
        elif isinstance(event, RunCancelled):
            before = self._before
            frames, seconds = before.frames + event.frames, round(before.seconds + event.seconds, 3)
            self._show(replace(event, frames=frames, seconds=seconds, output=event.output or before.output))
        elif isinstance(event, RunFinished):
            self._add(event)
        else:
            self._show(event)

    def _add(self, end: RunFinished) -> None:
        before = self._before
        frames, seconds = before.frames + end.frames, round(before.seconds + end.seconds, 3)
        names = dict.fromkeys((*before.stages, *end.stages))
        self._before = replace(
            end, output=end.output or before.output, frames=frames, skipped=before.skipped + end.skipped,
            invalid_pixels=before.invalid_pixels + end.invalid_pixels, seconds=seconds,
            fps=round(frames / seconds, 3) if frames and seconds else 0.0,
            stages={name: round(before.stages.get(name, 0.0) + end.stages.get(name, 0.0), 4) for name in names},
            precision=end.precision or before.precision, cached=before.cached + end.cached,
        )  # fmt: skip
        self._runs_left -= 1
        if not self._runs_left:
            self._show(self._before)
