"""How a live session goes, for a person at a terminal, in a log, or for a program."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from impasto.hosts.events import LiveFigures, LiveStarted, RunFinished, RunWarning
from impasto.hosts.terminal.printer import console, counted, emit, say, say_aside
from impasto.hosts.terminal.progress_bar import LINE_EVERY_S

if TYPE_CHECKING:
    from rich.live import Live


class LiveReporter:
    """JSON lines, or one line that is written anew each second; where it is no terminal, one now and then."""

    def __init__(self, *, json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._json, self._clock = json, clock
        self._line: Live | None = None
        self._printed_at = clock()

    def show(self, event: LiveStarted | LiveFigures | RunWarning | RunFinished) -> None:
        """Tell it. BrokenPipeError where the reader is gone."""
        if self._json:
            emit(event)
        elif isinstance(event, LiveStarted):
            say_aside(started_text(event))
        elif isinstance(event, LiveFigures):
            self._tell(figures_text(event))
        elif isinstance(event, RunWarning):
            self._print(f"note: {event.message}")
        else:
            self._end()
            say(f"{event.output + ': ' if event.output else ''}{counted(event.frames, 'picture')} painted")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._end()

    def _tell(self, text: str) -> None:
        screen = console(stderr=True)
        if screen.is_terminal:
            from rich.live import Live

            if self._line is None:
                self._line = Live(console=screen, auto_refresh=False, transient=True)
                self._line.start()
            self._line.update(text, refresh=True)
        elif self._clock() - self._printed_at >= LINE_EVERY_S:
            self._printed_at = self._clock()
            say_aside(text)

    def _print(self, text: str) -> None:
        if self._line is not None:
            self._line.console.print(text)
        else:
            say_aside(text)

    def _end(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None


def started_text(event: LiveStarted) -> str:
    """What is painted, where it can be seen, and how it is ended."""
    page = f"; the page is at {event.page}" if event.page else ""
    return f"painting {event.source} with {event.style} to {', '.join(event.sinks)}{page}; Ctrl-C ends it"


def figures_text(event: LiveFigures) -> str:
    """The figures of one moment in a line."""
    if event.problem:
        return f"{event.problem} ({counted(event.painted, 'picture')} painted)"
    age = f"{event.age_p50_ms:.0f} ms old ({event.age_p95_ms:.0f} at p95)"
    return (
        f"{event.width}x{event.height}, {event.fps_in:.1f} a second in, {event.fps:.1f} painted, "
        f"{event.dropped} dropped, {age}, {event.rung}: {event.reason}"
    )
