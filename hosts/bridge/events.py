"""What `impasto … --json` says, as values: the part of its lines that hosts use.

The contract stands in the command's own list of events. Fields and events that are not known here are passed over,
so that a newer command works with an older adapter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Union


@dataclass(frozen=True)
class Started:
    """The shot is open."""

    output: str = ""
    style: str = ""
    first: int = 0
    frames: int | None = None
    """Frames that this run will paint."""
    skipped: int = 0
    """Frames that an earlier run painted and that still agree."""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class FrameDone:
    """A frame is there, whole."""

    number: int = 0
    path: str = ""
    done: int = 0
    frames: int | None = None
    fps: float = 0.0
    remaining_s: float | None = None


@dataclass(frozen=True)
class Warned:
    """Something that a person should read and that does not stop the work."""

    message: str = ""


@dataclass(frozen=True)
class StyleFound:
    """A style that can be asked for."""

    name: str = ""
    title: str = ""
    description: str = ""
    size: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class ParameterFound:
    """A control of every style: its range, its default, and what it does in one sentence."""

    name: str = ""
    minimum: float = 0.0
    maximum: float = 1.0
    default: float = 0.0
    help: str = ""


@dataclass(frozen=True)
class CheckDone:
    """One thing that `impasto doctor` looked at."""

    name: str = ""
    state: str = ""
    found: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Finished:
    """All is done."""

    output: str | None = None
    frames: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Cancelled:
    """Stopped by a signal; what was finished is there."""

    output: str | None = None
    frames: int = 0


@dataclass(frozen=True)
class Failed:
    """The work could not be done, or not to its end."""

    code: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 1


End = Union[Finished, Cancelled, Failed]
Event = Union[Started, FrameDone, Warned, StyleFound, ParameterFound, CheckDone, Finished, Cancelled, Failed]

ENDS = (Finished, Cancelled, Failed)
CONTRACT = 1
"""The version of the lines that is understood here."""

_KINDS: dict[str, type[Any]] = {
    "started": Started,
    "frame": FrameDone,
    "warning": Warned,
    "style": StyleFound,
    "parameter": ParameterFound,
    "check": CheckDone,
    "finished": Finished,
    "cancelled": Cancelled,
    "failed": Failed,
}


def parse(line: str) -> Event | None:
    """The event of one line, None for a line that is no event or one that is not used here.

    A line of another version of the contract is a `Failed` that says so.
    """
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or "impasto" not in said:
        return None
    if said["impasto"] != CONTRACT:
        return Failed(
            "contract",
            "expected lines of version {} from the `impasto` command, got version {!r}; install command and plug-in "
            "of one version".format(CONTRACT, said["impasto"]),
        )
    kind = _KINDS.get(said.get("event", ""))
    if kind is None:
        return None
    event: Event = kind(**{each.name: said[each.name] for each in fields(kind) if each.name in said})
    return event
