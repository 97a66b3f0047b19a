"""Errors on the wire: the words by which they travel, and the classes that they are raised as again."""

from __future__ import annotations

from collections.abc import Mapping

from impasto.core import errors
from impasto.core.errors import ImpastoError
from impasto.server.protocol.messages import ErrorFacts

CODES: Mapping[str, type[ImpastoError]] = {
    "unknown_name": errors.UnknownName,
    "output_exists": errors.OutputExists,
    "usage": errors.UsageError,
    "unreadable_media": errors.UnreadableMedia,
    "unsupported_media": errors.UnsupportedMedia,
    "inconsistent_shot": errors.InconsistentShot,
    "media": errors.MediaError,
    "no_space": errors.NoSpace,
    "output": errors.OutputError,
    "style": errors.StyleError,
    "out_of_memory": errors.OutOfMemory,
    "device": errors.DeviceError,
    "training": errors.TrainingError,
    "unreachable": errors.ServerUnreachable,
    "busy": errors.ServerBusy,
    "incompatible": errors.IncompatibleServer,
    "invalid_request": errors.InvalidRequest,
    "not_permitted": errors.NotPermitted,
    "deadline": errors.DeadlineExpired,
    "cancelled": errors.RequestCancelled,
    "worker_lost": errors.WorkerLost,
    "server": errors.ServerError,
    "impasto": ImpastoError,
}
"""Word -> class. A word is never given to another class; new words may be added under the same major version."""

RETRYABLE = (errors.ServerBusy, errors.ServerUnreachable, errors.NoSpace)


def facts_of(error: ImpastoError, *, retry_after_s: float = 0.0, field: str = "", incident: str = "") -> ErrorFacts:
    """An error as it travels."""
    words = {kind: word for word, kind in CODES.items()}
    code = next(words[kind] for kind in type(error).__mro__ if kind in words)
    message = str(error).encode()[:4000].decode(errors="ignore")
    message = "".join(letter if letter.isprintable() else " " for letter in message)
    return ErrorFacts(code, message, isinstance(error, RETRYABLE), retry_after_s, field, incident)


def error_of(facts: ErrorFacts) -> ImpastoError:
    """The error that travelled, as its own class; a word of a newer server as ServerError."""
    kind = CODES.get(facts.code, errors.ServerError)
    error = kind.__new__(kind)
    Exception.__init__(error, facts.message)
    if isinstance(error, errors.UnknownName):
        error.name, error.nearest = "", None
    return error
