"""Every error that impasto raises on purpose.

ImpastoError
├── UsageError               a value, a name or a combination that cannot work
│   ├── UnknownName          a style, layer, colour space or parameter that does not exist
│   └── OutputExists         the output is already there, or is the input
├── MediaError               a picture or movie that cannot be read
│   ├── UnreadableMedia      missing, empty, damaged or not permitted
│   ├── UnsupportedMedia     sound, but of a kind that is not handled (deep, subsampled, …)
│   └── InconsistentShot     a gap in the numbering, frames of differing size
├── OutputError              a result that cannot be written
│   └── NoSpace              the disk is full
├── StyleError               a style file that is not what its card says, or no style file
├── DeviceError              a device that is not there, or that failed
│   └── OutOfMemory          the frame does not fit, even in small tiles
├── UnsuitableMachine        another version, or a folder that is not mounted: another machine may do the same work
├── TrainingError            training that cannot start or that went wrong
└── ServerError              the render server, or the way to it
    ├── ServerUnreachable    none runs, it died, or it did not answer in time
    ├── ServerBusy           no room now; the same request may succeed later
    ├── IncompatibleServer   client and server speak protocols that do not meet
    ├── InvalidRequest       a message that the server refuses as it stands
    ├── NotPermitted         a key, a path or an action that the server does not allow
    ├── DeadlineExpired      the answer would have come too late
    ├── RequestCancelled     somebody cancelled it, or a newer request took its place
    └── WorkerLost           the process that painted died of this request, more than once

A message says what was expected, what came, and what to do, in one sentence or two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar


class ImpastoError(Exception):
    """The root: what a host shows as one sentence and never as a traceback."""

    code: ClassVar[str] = "impasto"
    """The word by which programs know the error, on the wire and in `--json`; never given to another class."""


class UsageError(ImpastoError):
    """A value, a name or a combination that cannot work."""

    code = "usage"


class UnknownName(UsageError):
    """A name that does not exist; the message offers the nearest that does."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        from difflib import get_close_matches

        names = sorted(set(known))
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        if not near:
            near = [known_name for known_name in names if name.lower() in known_name.lower()][:1]
        if near:
            offer = f"did you mean '{near[0]}'?"
        elif names:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            offer = f"there is: {shown}"
        else:
            offer = "there is none"
        super().__init__(f"no {kind} is called '{name}'; {offer}" + (f" {hint}" if hint else ""))
        self.name = name
        self.nearest = near[0] if near else None


class OutputExists(UsageError):
    """The output is already there, or is the input itself."""

    code = "output_exists"


class MediaError(ImpastoError):
    """A picture or movie that cannot be read."""

    code = "media"


class UnreadableMedia(MediaError):
    """Missing, empty, damaged, or not permitted."""

    code = "unreadable_media"


class UnsupportedMedia(MediaError):
    """Sound, but of a kind that is not handled: deep, subsampled, an unknown format."""

    code = "unsupported_media"


class InconsistentShot(MediaError):
    """A gap in the numbering, or frames of differing size."""

    code = "inconsistent_shot"


class OutputError(ImpastoError):
    """A result that cannot be written."""

    code = "output"


class NoSpace(OutputError):
    """The disk, or a quota, is full."""

    code = "no_space"


class StyleError(ImpastoError):
    """A style file that is not what its card says, or no style file at all."""

    code = "style"


class DeviceError(ImpastoError):
    """A device that is not there, or that failed."""

    code = "device"


class OutOfMemory(DeviceError):
    """The frame does not fit into the device, even in small tiles."""

    code = "out_of_memory"


class UnsuitableMachine(ImpastoError):
    """The machine lacks what the work was prepared for: the version, a folder. Another one may do it."""

    code = "unsuitable_machine"


class TrainingError(ImpastoError):
    """Training that cannot start, or that went wrong."""

    code = "training"


class ServerError(ImpastoError):
    """The render server, or the way to it."""

    code = "server"


class ServerUnreachable(ServerError):
    """No server runs, it died, or it did not answer in time."""

    code = "unreachable"


class ServerBusy(ServerError):
    """The server has no room now; the same request may succeed later."""

    code = "busy"


class IncompatibleServer(ServerError):
    """Client and server speak protocols that do not meet."""

    code = "incompatible"


class InvalidRequest(ServerError):
    """A message that the server refuses as it stands: malformed, out of order, beyond a limit."""

    code = "invalid_request"


class NotPermitted(ServerError):
    """A key, a path or an action that the server does not allow."""

    code = "not_permitted"


class DeadlineExpired(ServerError):
    """The answer would have come too late."""

    code = "deadline"


class RequestCancelled(ServerError):
    """Somebody cancelled the request, or a newer one of the same viewer took its place."""

    code = "cancelled"


class WorkerLost(ServerError):
    """The process that painted died of this request, more than once."""

    code = "worker_lost"


ERRORS: Mapping[str, type[ImpastoError]] = {
    kind.code: kind
    for kind in (
        ImpastoError,
        UsageError,
        UnknownName,
        OutputExists,
        MediaError,
        UnreadableMedia,
        UnsupportedMedia,
        InconsistentShot,
        OutputError,
        NoSpace,
        StyleError,
        DeviceError,
        OutOfMemory,
        UnsuitableMachine,
        TrainingError,
        ServerError,
        ServerUnreachable,
        ServerBusy,
        IncompatibleServer,
        InvalidRequest,
        NotPermitted,
        DeadlineExpired,
        RequestCancelled,
        WorkerLost,
    )
}
"""Code -> class."""
