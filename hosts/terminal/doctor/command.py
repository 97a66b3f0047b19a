"""`impasto doctor`: runs the checks, and says what to do where one fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from impasto.core.errors import ImpastoError, UnknownName
from impasto.hosts.events import CheckDone, RunFailed, RunFinished
from impasto.hosts.terminal.doctor import installation, machine
from impasto.hosts.terminal.exit_codes import INTERNAL
from impasto.hosts.terminal.printer import emit, say
from impasto.hosts.terminal.shared_options import Json

INDENT = " " * 9
MARKS = {"ok": "ok     ", "warning": "note   ", "failed": "FAILED "}

Check = Callable[[], Iterator[CheckDone]]


def doctor(
    json: Json = False,
    host: Annotated[
        str | None, typer.Option("--host", metavar="nuke|resolve|ofx", help="Look at the adapter in this host too.")
    ] = None,
) -> None:
    """Check the installation and say what to do.

    With --host the report can be pasted into a question about that host's adapter.
    """
    failed = 0
    for check in (*CHECKS, *((host_check(host),) if host is not None else ())):
        for done in examined(check):
            failed += done.state == "failed"
            if json:
                emit(done)
            else:
                for line in lines_of(done):
                    say(line)
    if failed:
        message = f"{failed} of the checks failed; do what stands beside them"
        if json:
            emit(RunFailed("doctor", message, "do what stands beside them", INTERNAL))
        else:
            say(message)
        raise typer.Exit(INTERNAL)
    if json:
        emit(RunFinished())
    else:
        say("everything that is needed works")


def lines_of(done: CheckDone) -> list[str]:
    """A check for a person: its mark, name and finding, then what to do. Long lists go on below, broken at commas."""
    width = shutil.get_terminal_size().columns
    lines = [f"{MARKS[done.state]}  {done.name}:"]
    parts = done.found.split(", ")
    for index, part in enumerate(parts):
        item = part + ("," if index + 1 < len(parts) else "")
        if index and len(lines[-1]) + 1 + len(item) > width:
            lines.append(INDENT + item)
        else:
            lines[-1] += f" {item}"
    return [*lines, f"{INDENT}→ {done.hint}"] if done.hint else lines


def examined(check: Check) -> Iterator[CheckDone]:
    """The results of a check; an exception inside it is a failed check."""
    try:
        yield from check()
    except ModuleNotFoundError as error:
        yield CheckDone(_name(check), "failed", f"the package '{error.name}' is missing", installation.REINSTALL)
    except ImpastoError as error:
        yield CheckDone(_name(check), "failed", str(error), "")
    except Exception as error:  # noqa: BLE001  # this command reports every error
        yield CheckDone(_name(check), "failed", f"{type(error).__name__}: {error}", installation.REINSTALL)


def host_check(host: str) -> Check:
    """The check of a host's adapter. UnknownName for a host without one."""
    if host not in HOSTS:
        raise UnknownName("host", host, HOSTS)
    return HOSTS[host]


def check_nuke() -> Iterator[CheckDone]:
    """The node is in Nuke, and finds this installation."""
    from impasto.hosts.terminal.install.nuke import host_checks

    yield from host_checks()


def check_resolve() -> Iterator[CheckDone]:
    """The script is in Resolve, and finds this installation."""
    from impasto.hosts.terminal.install.resolve import host_checks

    yield from host_checks()


def check_ofx() -> Iterator[CheckDone]:
    """The OpenFX plug-in is where hosts look, loads, and finds this installation."""
    from impasto.hosts.terminal.install.ofx import host_checks

    yield from host_checks()


def _name(check: Check) -> str:
    return check.__name__.removeprefix("check_")


HOSTS: dict[str, Check] = {"nuke": check_nuke, "resolve": check_resolve, "ofx": check_ofx}

CHECKS: tuple[Check, ...] = (
    installation.check_python,
    installation.check_packages,
    installation.check_devices,
    installation.check_colour,
    installation.check_styles,
    installation.check_movies,
    installation.check_streams,
    machine.check_folders,
    machine.check_server,
    machine.check_shared_memory,
    machine.check_open_files,
    installation.check_render,
)
