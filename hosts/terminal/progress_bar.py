"""The progress bar and the lines around it: what a person sees of a command that runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from impasto.hosts.events import (
    ChunkEnded,
    Event,
    FrameDone,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    RunWarning,
    ShotPainted,
    ShotSkipped,
    TrainingStep,
    TrialDone,
    WatchStarted,
)
from impasto.hosts.terminal.printer import clock_text, console, counted, say, say_aside

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S = 30.0
"""How often a run whose standard error is no terminal says how far it is, so that its log shows life."""


class ProgressBar:
    """A bar with frames (or steps), pace and time left; warnings above it, the outcome when it is gone.

    Where standard error is no terminal, a plain line now and then takes the place of the bar.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._printed_at = 0.0
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def show(self, event: Event) -> None:
        """Move the bar, or print a line beside it."""
        match event:
            case RunStarted():
                self._begin("painting", event.frames)
            case FrameDone():
                pace = f"{event.fps:.2f} frames/s" if event.fps else ""
                self._move(event.done, f"{event.done}/{event.frames or '…'}", pace, event.remaining_s)
            case TrainingStep():
                if self._progress is None:
                    self._begin("training", 1)
                loss = event.figures.get("loss")
                pace = f"loss {loss:.4f}" if loss is not None else ""
                self._move(event.fraction, f"step {event.step}", pace, event.remaining_s)
            case TrialDone():
                self._print(trial_text(event))
            case ChunkEnded():
                self._move(event.done, f"{event.done}/{event.frames}", "", None)
                if event.state != "done":
                    self._print(f"frames {event.first}-{event.last} on {event.seat}: {event.state}: {event.message}")
            case RunWarning():
                self._print(f"note: {event.message}")
            case WatchStarted():
                self._print(f"watching {event.folder}; results go to {event.into}")
            case ShotPainted():
                self._end()
                finished = RunFinished(event.output, event.frames, event.skipped, 0, event.seconds, event.fps)
                say(outcome(finished))
            case ShotSkipped():
                self._end()
                say_aside(f"left as it is: {event.input}: {event.message}")
            case RunFinished() | RunCancelled():
                self._end()
                say(outcome(event))
            case RunFailed():
                self._end()
                say_aside(f"impasto: {event.message}")
            case _:
                raise TypeError(f"a bar does not show {type(event).__name__}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away and give the cursor back."""
        self._end()

    def _begin(self, text: str, total: float | None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[pace]}"),
            TextColumn("{task.fields[left]}"),
        )
        screen = console(stderr=True)
        # Without a terminal there is nothing to redraw, and a log file wants no bars.
        self._progress = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        self._task = self._progress.add_task(text, total=total, count="", pace="", left="")
        self._progress.start()
        self._printed_at = self._clock()

    def _move(self, completed: float, count: str, pace: str, remaining_s: float | None) -> None:
        if self._progress is not None and self._task is not None:
            left = "" if remaining_s is None else f"{clock_text(remaining_s)} left"
            self._progress.update(self._task, completed=completed, count=count, pace=pace, left=left)
            if self._progress.disable and self._clock() - self._printed_at >= LINE_EVERY_S:
                self._printed_at = self._clock()
                self._print(f"{self._progress.tasks[0].description}: {', '.join(filter(None, (count, pace, left)))}")

    def _print(self, text: str) -> None:
        if self._progress is not None and not self._progress.disable:
            self._progress.console.print(text)
        else:
            say_aside(text)

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def outcome(event: RunFinished | RunCancelled) -> str:
    """The last line of a run."""
    if isinstance(event, RunCancelled):
        where = f"; what is finished is in {event.output}" if event.output else ""
        return f"stopped after {done_text(event)}{where}"
    parts = [f"{done_text(event)} in {clock_text(event.seconds)}"]
    if event.fps:
        parts.append(f"{event.fps:.2f} frames per second")
    if event.precision:
        parts.append(f"counted in {event.precision}")
    if event.cached:
        parts.append(f"{event.cached} of {event.frames} out of the cache")
    if event.skipped:
        parts.append(f"{event.skipped} finished before")
    if event.invalid_pixels:
        parts.append(f"{counted(event.invalid_pixels, 'pixel')} with NaN or infinity kept as they were")
    return f"{event.output}: {', '.join(parts)}"


def done_text(event: RunFinished | RunCancelled) -> str:
    """'12 frames', or '12 steps' of a training, or '12 trials' of a search."""
    if event.trials:
        return counted(event.trials, "trial")
    return counted(event.steps, "step") if event.steps else counted(event.frames, "frame")


def trial_text(event: TrialDone) -> str:
    """One line on a trial of a search."""
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in event.settings.items()
    )
    error = "no error" if event.error is None else f"error {event.error:.5f}"
    how = "" if event.ended == "whole" else f" ({event.ended})"
    best = "" if event.best is None else f"; best so far {event.best:.5f}"
    return f"trial {event.trial} of {event.trials}: {error}{how} with {settings}{best}"
