"""`impasto resolve`: put the script into DaVinci Resolve Studio, remove it, and run it from a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.core.errors import ImpastoError, UsageError
from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.events import CheckDone, Event, RunCancelled, RunFinished, RunWarning
from impasto.hosts.resolve.job_record import forget_job, open_jobs, record_of, unusable_jobs
from impasto.hosts.resolve.request import PLACES, SCOPES, Request, remember
from impasto.hosts.resolve.ui import JobStopped, UserInterface
from impasto.hosts.terminal.controls import with_parameters
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.install.host_files import (
    MANIFEST,
    adapter_files,
    install_files,
    stale_files,
    uninstall_from,
)
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import emit, say, say_aside
from impasto.hosts.terminal.shared_options import Json

SUPPORT = "impasto"
"""Beside Fusion/, not below its Scripts, where every Python file is an entry of the menu."""
MENU = "Fusion/Scripts/Utility/Impasto.py"
"""Below Utility, which is listed on all pages."""
OWN_COMMAND = Command((sys.executable, "-P", "-m", "impasto.hosts.terminal"))

Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="FOLDER", help="The folder that holds Resolve's Fusion/; your own else."),
]
Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="Where plates and results are kept; ~/Impasto/Resolve else."),
]


def install(dir: Dir = None) -> None:
    """Put Impasto into the menu of Resolve Studio 18.5 and newer: Workspace > Scripts > Impasto.

    Run it again after an update of impasto, or when impasto has moved.
    """
    folder = home_folder() if dir is None else dir.resolve()
    placed = install_files(wanted_files(folder), folder)
    say(f"{folder}: {len(placed)} files")
    say("it is under Workspace > Scripts > Impasto")


def uninstall(dir: Dir = None) -> None:
    """Take Impasto out of Resolve's menu; timelines, plates and results stay."""
    uninstall_from(home_folder() if dir is None else dir.resolve())


@with_parameters
def run(
    style: Annotated[
        str, typer.Option("--style", help="Name or .safetensors file; `impasto styles` lists names.")
    ] = "",
    scope: Annotated[
        str,
        typer.Option("--scope", metavar="|".join(SCOPES), help="Clip under the playhead, clips between marks, all."),
    ] = "clip",
    place: Annotated[
        str, typer.Option("--place", metavar="|".join(PLACES), help="A track above, or a take of the clip.")
    ] = "track",
    handles: Annotated[int, typer.Option("--handles", metavar="N", help="Frames of the clip beyond its cut.")] = 0,
    track: Annotated[int, typer.Option("--track", metavar="N", help="The video track that marks means.")] = 0,
    input_space: Annotated[
        str, typer.Option("--input-space", metavar="NAME", help="The picture's colours, instead of Resolve's settings.")
    ] = "",
    folder: Folder = None,
    resume: Annotated[bool, typer.Option("--continue", help="Go on with the newest job that did not end.")] = False,
    json: Json = False,
    **controls: Any,
) -> None:
    """Paint on the timeline that is open in DaVinci Resolve Studio, from a terminal.

    Resolve must run on this machine, with Preferences > System > General > External scripting using at Local.
    """
    with Interrupts("" if json else "stopping; start again with --continue to go on") as interrupts:
        try:
            request = Request(
                style, scope, place, handles, track,
                {name: value for name, value in controls.items() if value is not None},
                input_space, str(folder.resolve()) if folder else "",
            )  # fmt: skip
            ui = TerminalInterface(json, interrupts.asked)
            done = _run(request, ui, resume=resume)
        except BridgeError as error:
            raise UsageError(str(error)) from error
        except JobStopped:
            ui.show(RunCancelled(None, 0, 0.0))
            raise typer.Exit(INTERRUPTED) from None
        ui.show(RunFinished(str(done)))


def jobs(
    folder: Folder = None,
    forget: Annotated[str | None, typer.Option("--forget", metavar="JOB", help="Offer this job no more.")] = None,
) -> None:
    """List the jobs that did not come to their end and can be continued."""
    root = Request(folder=str(folder.resolve()) if folder else "").root()
    known = open_jobs(root)
    for problem in unusable_jobs(root):
        say_aside(f"note: {problem}")
    if forget is not None and forget not in {job.id for job in known}:
        raise UsageError(f"expected a job of the list, got '{forget}'; `impasto resolve jobs` shows it")
    for job in known:
        if job.id == forget:
            forget_job(job, root)
        elif forget is None:
            say(f"{job.id}  {job.what}: {job.message or 'the host was closed'}")


class TerminalInterface(UserInterface):
    """Prints notes and steps of a job on the terminal."""

    def __init__(self, json: bool, asked: Callable[[], bool]) -> None:
        self._json, self._asked, self._step = json, asked, ""

    def say(self, text: str) -> None:
        """A note."""
        self.show(RunWarning(text))

    def show_progress(self, fraction: float, text: str) -> None:
        """A line at every step."""
        if text != self._step and not self._json:
            say_aside(text)
        self._step = text

    def stop_requested(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._asked()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def show(self, event: Event) -> None:
        """An event as a line, for a program or a person."""
        if self._json:
            emit(event)
        elif isinstance(event, RunWarning):
            say_aside(f"note: {event.message}")
        elif isinstance(event, RunFinished):
            say(f"done; plates and results are in {event.output}")


def _run(request: Request, ui: UserInterface, *, resume: bool) -> Path:
    from impasto.hosts.resolve.connection import connect
    from impasto.hosts.resolve.pipeline import begin, carry_out

    root = request.root()
    known = open_jobs(root) if resume else []
    if resume and not known:
        raise UsageError(f"expected a job to continue in '{root}', found none; leave out --continue")
    if not resume and not request.style:
        raise UsageError("expected --style with the name of a style; `impasto styles` lists them")
    resolve = connect()
    record = record_of(known[0], root) if resume else begin(resolve, request, ui)
    if not resume:
        remember(request, Request().root())
    carry_out(resolve, record, ui, OWN_COMMAND)
    return record.folder


def home_folder() -> Path:
    """The folder of one user's scripts for Resolve, by system."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
        return Path(roaming) / "Blackmagic Design" / "DaVinci Resolve" / "Support"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Blackmagic Design" / "DaVinci Resolve"
    return Path.home() / ".local" / "share" / "DaVinciResolve"


def wanted_files(folder: Path) -> dict[str, bytes]:
    """Relative path -> contents of the files for Resolve; the script in the menu names the folder of the others."""
    from impasto.hosts.resolve.menu import SCRIPT

    files = {f"{SUPPORT}/{name}": contents for name, contents in adapter_files("resolve").items()}
    return {**files, MENU: SCRIPT.format(folder=str(folder / SUPPORT)).encode()}


def host_checks() -> Iterator[CheckDone]:
    """The checks of `impasto doctor --host resolve`."""
    folder = home_folder()
    if not (folder / MANIFEST).exists():
        yield CheckDone("resolve script", "warning", f"not in '{folder}'", "run `impasto resolve install`")
    else:
        stale = stale_files(wanted_files(folder), folder)
        hint = "run `impasto resolve install` again" if stale else ""
        found = f"{len(stale)} of its files are of another version: {stale[0]}" if stale else f"in '{folder}'"
        yield CheckDone("resolve script", "warning" if stale else "ok", found, hint)
    waiting = open_jobs(Request().root())
    if waiting:
        found = (
            f"{len(waiting)} can be continued, the newest is {waiting[0].id} ({waiting[0].message or 'host closed'})"
        )
        yield CheckDone(
            "resolve jobs", "warning", found, "start Impasto in Resolve, or `impasto resolve run --continue`"
        )
    for problem in unusable_jobs(Request().root()):
        text, _, hint = problem.rpartition("; ")
        yield CheckDone("resolve jobs", "warning", text, hint)
    yield _connection_check()


def _connection_check() -> CheckDone:
    from impasto.hosts.resolve.connection import connect, places

    try:
        resolve = connect()
        return CheckDone("resolve", "ok", f"{resolve.GetProductName()} {resolve.GetVersionString()} answers", "")
    except (BridgeError, ImpastoError) as error:
        api, library = places(os.environ, sys.platform)
        there = ", ".join(f"'{each}' {'there' if os.path.exists(each) else 'missing'}" for each in (api, library))
        hint = "the script in Resolve's menu needs none of this; `impasto resolve run` does"
        return CheckDone("resolve", "warning", f"{error} ({there})", hint)
