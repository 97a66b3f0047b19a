"""The only place that prints: text from elsewhere can neither steer the terminal nor forge a line.

File names, cards and messages of servers are other people's text. A space takes the place of every control character,
line break and direction override in it, so that one call is one line. Rich's own colours and cursor moves pass.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from impasto.hosts.events import Event, line_of
from impasto.server.protocol.text import cleaned

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str) -> None:
    """Print one line on standard output."""
    print(printable(text), flush=True)


def say_aside(text: str) -> None:
    """Print one line on standard error, beside the results."""
    print(printable(text), file=sys.stderr, flush=True)


def emit(event: Event) -> None:
    """Print an event as one JSON line on standard output, flushed at once. BrokenPipeError where the reader is gone."""
    print(line_of(event), flush=True)


def printable(text: str) -> str:
    """Text as it may be shown, of any length, on one line."""
    return cleaned(text, most=sys.maxsize)


def counted(number: int, noun: str) -> str:
    """'1 frame', '2 frames'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock_text(seconds: float) -> str:
    """Seconds as a person says them: '4.2 s', '3:07', '1:02:45'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def console(*, stderr: bool = False) -> Console:
    """A console for tables and bars. It takes texts as they are, without markup or highlights."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class CleanConsole(Console):
        """Cleans plain texts before they are measured, and everything else when it is drawn."""

        def render_str(self, text: str, **options: object) -> Text:
            return super().render_str(printable(text), **options)  # type: ignore[arg-type]

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for each in super().render(renderable, options):
                if each.control or each.text == "\n" or each.text.isprintable():
                    yield each
                else:
                    lines = map(printable, each.text.split("\n"))
                    yield Segment("\n".join(lines), each.style)

    return CleanConsole(stderr=stderr, markup=False, highlight=False, emoji=False)
