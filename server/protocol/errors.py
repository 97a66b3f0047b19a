"""Errors on the wire: the words by which they travel, and the classes that they are raised as again."""

from __future__ import annotations

from impasto.core import errors
from impasto.core.errors import ImpastoError
from impasto.server.protocol.messages import ErrorFacts
from impasto.server.protocol.text import cleaned, escaped

RETRYABLE = (errors.ServerBusy, errors.ServerUnreachable, errors.NoSpace)

LAST_RESORT = ErrorFacts(
    "server", "the server could not put into words how this ended; search its log for the time of this, and report it"
)
"""What is answered where telling a failure fails too. Nothing in it comes from outside, so it can always be encoded."""


def facts_of(error: ImpastoError, *, retry_after_s: float = 0.0, field: str = "", incident: str = "") -> ErrorFacts:
    """An error as it travels. Whatever its message holds, the facts can be encoded."""
    message = escaped(str(error)).encode()[:4000].decode(errors="ignore")
    message = "".join(letter if letter.isprintable() else " " for letter in message)
    return ErrorFacts(error.code, message, isinstance(error, RETRYABLE), retry_after_s, cleaned(field, 255), incident)


def error_of(facts: ErrorFacts) -> ImpastoError:
    """The error that travelled, as its own class; a word of a newer server as ServerError."""
    kind = errors.ERRORS.get(facts.code, errors.ServerError)
    error = kind.__new__(kind)
    Exception.__init__(error, facts.message)
    if isinstance(error, errors.UnknownName):
        error.name, error.nearest = "", None
    return error
