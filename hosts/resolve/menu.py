"""What Workspace > Scripts > Impasto does: ask, do one job, end."""

from __future__ import annotations

import time
import traceback
from contextlib import ExitStack
from typing import Any, Callable

from impasto.hosts.bridge.catalogue import Catalogue, load_catalogue, read_catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob
from impasto.hosts.resolve.connection import checked
from impasto.hosts.resolve.dialog_request import Answer
from impasto.hosts.resolve.job_record import open_jobs, record_of, unusable_jobs
from impasto.hosts.resolve.pipeline import begin, carry_out
from impasto.hosts.resolve.request import Request, remember, remembered
from impasto.hosts.resolve.ui import JobStopped, UserInterface

SCRIPT = """# Impasto for DaVinci Resolve, put here by `impasto resolve install`.
import sys

sys.path.insert(0, {folder!r})
from impasto.hosts.resolve.menu import main  # noqa: E402

main(globals().get("resolve"))
"""
"""The one file below Scripts, where every file is an entry of the menu."""


class ConsoleInterface(UserInterface):
    """Prints to Resolve's console, where there is no window."""

    def __init__(self) -> None:
        self._step = ""

    def say(self, text: str) -> None:
        """A line."""
        print(text, flush=True)  # noqa: T201  # Resolve's console

    def show_progress(self, fraction: float, text: str) -> None:
        """A line at every step."""
        if text != self._step:
            self._step = text
            self.say(text)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def main(resolve: Any) -> None:
    """Run once from the menu. Every error is a sentence, in the window or on Resolve's console."""
    with ExitStack() as stack:
        try:
            from impasto.hosts.resolve.dialog import ask, opened

            window = stack.enter_context(opened())
        except ImportError:  # no tkinter, or no screen: use the last settings
            run(resolve, _as_last_time, ConsoleInterface())
        else:
            run(resolve, ask(window), window)


def run(resolve: Any, ask: Callable[[Catalogue, Request, tuple[HostJob, ...]], Answer], ui: UserInterface) -> bool:
    """Ask the user and carry out one job; whether it was finished."""
    try:
        studio = checked(resolve)
        last = remembered(Request().root()) or Request()
        catalogue = load_catalogue()
        for problem in unusable_jobs(last.root()):
            ui.say(problem)
        answer = ask(catalogue if catalogue.styles else read_catalogue(), last, tuple(open_jobs(last.root())))
        if answer is None:
            return False
        request, job = answer
        remember(request, Request().root())
        record = begin(studio, request, ui) if job is None else record_of(job, last.root())
        carry_out(studio, record, ui)
    except JobStopped:
        ui.say("stopped; start Impasto again to continue")
        return False
    except BridgeError as error:
        ui.say(str(error))
        return False
    except Exception as error:  # noqa: BLE001  # the last stop before Resolve's console, which shows no traceback
        ui.say(f"Impasto is at fault ({error}); please report it with this:\n{traceback.format_exc()}")
        return False
    ui.say("done: {} on the timeline".format(", ".join(saved.name for saved in record.job.pieces)))
    return True


def _as_last_time(catalogue: Catalogue, last: Request, jobs: tuple[HostJob, ...]) -> Answer:
    if jobs:
        return last, jobs[0]
    if not last.style:
        raise BridgeError(
            "expected tkinter in Resolve's Python for the dialog, it has none; run `impasto resolve run --style "
            "NAME` in a terminal, whose settings the script then takes as well"
        )
    return last, None
