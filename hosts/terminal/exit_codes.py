"""How the command ends: the exit codes that programs may rely on, and the errors that lead to each."""

from __future__ import annotations

from impasto.core.errors import (
    DeviceError,
    ImpastoError,
    MediaError,
    OutputError,
    RequestCancelled,
    ServerError,
    StyleError,
    TrainingError,
    UsageError,
)
from impasto.core.frozen_dataclass import frozen_dataclass

DONE, INTERNAL, USAGE, INPUT, OUTPUT, STYLE, DEVICE, TRAINING, SERVER = range(9)
INTERRUPTED = 130
"""128 + SIGINT, as shells have it; also for SIGTERM."""


@frozen_dataclass
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

_EXIT_CODES: dict[type[BaseException], int] = {
    UsageError: USAGE,
    MediaError: INPUT,
    OutputError: OUTPUT,
    StyleError: STYLE,
    DeviceError: DEVICE,
    TrainingError: TRAINING,
    RequestCancelled: INTERRUPTED,
    ServerError: SERVER,
    ImpastoError: INTERNAL,
}


def exit_code_of(error: ImpastoError) -> int:
    """The exit code of an error: that of its class, or of the nearest class above that has one."""
    return next(_EXIT_CODES[kind] for kind in type(error).__mro__ if kind in _EXIT_CODES)


def exit_code_table() -> str:
    """The table as text, for `--help`."""
    return "\n".join(f"{code.number:>5}  {code.meaning}" for code in EXIT_CODES)
