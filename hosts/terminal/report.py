"""Where events go: to a progress bar for a person, into JSON lines for a program, or nowhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from impasto.hosts.events import Event
from impasto.hosts.terminal.printer import emit
from impasto.hosts.terminal.progress_bar import ProgressBar


class Reporter(Protocol):
    """Shows the events of one command, in the order in which they happen."""

    def show(self, event: Event) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def reporter_for(*, json: bool, silent: bool = False) -> Reporter:
    """JSON lines on standard output, or a bar on standard error and the outcome on standard output, or nothing."""
    if silent:
        return SilentReporter()
    return JsonReporter() if json else ProgressBar()


class SilentReporter:
    """Shows nothing: one of several processes reports for all."""

    def show(self, event: Event) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class JsonReporter:
    """Prints every event as one line, flushed at once so that a host sees it when it happens."""

    def show(self, event: Event) -> None:
        """Print one line. BrokenPipeError where the reader is gone."""
        emit(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""
