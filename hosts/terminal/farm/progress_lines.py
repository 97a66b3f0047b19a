"""The lines by which a render tells a farm how far it is: https://github.com/OpenJobDescription, "Stdout messages"."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from impasto.core.errors import ImpastoError
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.hosts.terminal.printer import say
from impasto.hosts.terminal.progress_bar import outcome


class ProgressLines:
    """Prints `openjd_progress: PER CENT` and `openjd_status: TEXT` for each frame, then the outcome; one log a task."""

    def show(self, event: Event) -> None:
        """Print the lines of an event."""
        match event:
            case RunStarted():
                kept = f", {event.skipped} are there" if event.skipped else ""
                say(f"openjd_status: painting {event.frames} frames of {event.input}{kept}")
            case FrameDone():
                say(f"{event.path}: {event.done}/{event.frames}, {event.fps or 0:.2f} frames/s")
                if event.frames:
                    say(f"openjd_progress: {100 * event.done / event.frames:.1f}")
            case RunWarning():
                say(f"openjd_status: note: {event.message}")
            case RunFinished() | RunCancelled():
                say(f"openjd_status: {outcome(event)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print why it failed, for the farm's own windows."""
        if isinstance(error, ImpastoError):
            say(f"openjd_fail: {error}")
