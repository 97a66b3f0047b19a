"""The `impasto` command: runs the application and reports every error as one sentence.

Packages that a base installation lacks are imported only after a check.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from impasto.hosts.terminal.exit_codes import INTERNAL, INTERRUPTED, USAGE
from impasto.hosts.terminal.printer import emit, say_aside
from impasto.hosts.terminal.train.torchrun import exit_process

if TYPE_CHECKING:
    from impasto.hosts.events import RunCancelled, RunFailed


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with a code of `impasto.hosts.terminal.exit_codes`."""
    exit_process(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run one command, report its errors, and return its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        from impasto.hosts.events import RunCancelled

        _report(arguments, RunCancelled(None, 0, 0.0))
        return INTERRUPTED
    except BrokenPipeError:
        # The reader is gone. Without this the interpreter prints one more error while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last stop before a traceback
        from impasto.hosts.terminal.failure import failure_of

        failure = failure_of(error)
        _report(arguments, failure)
        return failure.exit_code


def _run(arguments: Sequence[str]) -> int:
    try:
        import rich  # noqa: F401  # reporters use it; this is the check for it
        import typer
    except ModuleNotFoundError as error:
        from impasto.hosts.terminal.failure import missing_package

        _report(arguments, missing_package(error.name or "typer"))
        return INTERNAL
    from impasto.hosts.terminal.commands import application

    try:
        code = typer.main.get_command(application(arguments)).main(
            args=list(arguments) or ["--help"], prog_name="impasto", standalone_mode=False
        )
    except Exception as error:
        message = _usage_message(error, arguments)
        if message is None:
            raise
        from impasto.hosts.events import RunFailed

        _report(arguments, RunFailed("usage", message, "`impasto --help` shows what there is", USAGE))
        return USAGE
    return code if isinstance(code, int) else 0


def _usage_message(error: Exception, arguments: Sequence[str]) -> str | None:
    """The message of an error of the argument parser, None for any other error.

    By version Typer contains click or depends on it; the exceptions have one method in common.
    """
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    text = str(format_message()).strip().rstrip(".")
    expanded = _expanded_sequence(arguments) if "extra argument" in text else None
    if expanded is not None:
        text = f"expected a sequence by one name, got its files one by one, as a shell writes '*'; write '{expanded}'"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "impasto"
    return (
        f"{text}; `{command} --help` shows what is expected" if text else f"`{command} --help` shows what is expected"
    )


def _expanded_sequence(arguments: Sequence[str]) -> str | None:
    """The name of a sequence of which two files stand side by side among the arguments, None where none does."""
    from impasto.core.media.numbering import named_like

    for one, next_one in pairwise(arguments):
        like = named_like(one)
        if like is not None and like == named_like(next_one):
            return str(like)
    return None


def _report(arguments: Sequence[str], event: RunFailed | RunCancelled) -> None:
    """Print an event to standard output for programs, a message to standard error for people."""
    from impasto.hosts.events import RunFailed

    if "--json" in arguments:
        emit(event)
    elif isinstance(event, RunFailed):
        say_aside(f"impasto: {event.message}")


if __name__ == "__main__":  # torchrun -m impasto.hosts.terminal.app
    main()
