"""How the command ends: one table from errors to codes that programs may rely on."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.core.errors import (
    DeadlineExpired,
    DeviceError,
    ImpastoError,
    IncompatibleServer,
    InconsistentShot,
    InvalidRequest,
    MediaError,
    NoSpace,
    NotPermitted,
    OutOfMemory,
    OutputError,
    OutputExists,
    RequestCancelled,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    StyleError,
    TrainingError,
    UnknownName,
    UnreadableMedia,
    UnsupportedMedia,
    UsageError,
    WorkerLost,
)

DONE, INTERNAL, USAGE, INPUT, OUTPUT, STYLE, DEVICE, TRAINING, SERVER = range(9)
INTERRUPTED = 130
"""128 + SIGINT, as shells have it; also for SIGTERM."""


@dataclass(frozen=True, slots=True)
class ExitCode:
    """One way to end, and what it says."""

    number: int
    meaning: str


EXIT_CODES: tuple[ExitCode, ...] = (
    ExitCode(DONE, "done"),
    ExitCode(INTERNAL, "impasto itself: a fault of the program, or packages that are missing"),
    ExitCode(USAGE, "an argument, a name or a combination that cannot work"),
    ExitCode(INPUT, "the input cannot be read"),
    ExitCode(OUTPUT, "the result cannot be written"),
    ExitCode(STYLE, "the style file is not sound"),
    ExitCode(DEVICE, "the device is not there, failed, or has too little memory"),
    ExitCode(TRAINING, "training cannot start, or went wrong"),
    ExitCode(SERVER, "the render server: none runs, it is busy, it refuses, or it gave up"),
    ExitCode(INTERRUPTED, "interrupted; what was finished is there"),
)

_KINDS: dict[type[BaseException], tuple[str, int]] = {
    UnknownName: ("unknown_name", USAGE),
    OutputExists: ("output_exists", USAGE),
    UsageError: ("usage", USAGE),
    UnreadableMedia: ("unreadable_media", INPUT),
    UnsupportedMedia: ("unsupported_media", INPUT),
    InconsistentShot: ("inconsistent_shot", INPUT),
    MediaError: ("media", INPUT),
    NoSpace: ("no_space", OUTPUT),
    OutputError: ("output", OUTPUT),
    StyleError: ("style", STYLE),
    OutOfMemory: ("out_of_memory", DEVICE),
    DeviceError: ("device", DEVICE),
    TrainingError: ("training", TRAINING),
    ServerUnreachable: ("unreachable", SERVER),
    ServerBusy: ("busy", SERVER),
    IncompatibleServer: ("incompatible", SERVER),
    InvalidRequest: ("invalid_request", SERVER),
    NotPermitted: ("not_permitted", SERVER),
    DeadlineExpired: ("deadline", SERVER),
    RequestCancelled: ("cancelled", INTERRUPTED),
    WorkerLost: ("worker_lost", SERVER),
    ServerError: ("server", SERVER),
    ImpastoError: ("impasto", INTERNAL),
}


def kind_of(error: ImpastoError) -> tuple[str, int]:
    """The word by which programs know an error, and the exit code that goes with it."""
    return next(_KINDS[each] for each in type(error).__mro__ if each in _KINDS)


def exit_code_table() -> str:
    """The table as text, for `--help`."""
    return "\n".join(f"{code.number:>5}  {code.meaning}" for code in EXIT_CODES)
