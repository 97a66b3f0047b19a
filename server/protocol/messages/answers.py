"""What every request may be answered with beside its result, and the message that takes a request back."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits
from impasto.server.protocol.field_types import Count, Id, Name, Seconds, Text, Words


@frozen_dataclass
class ErrorFacts:
    """What went wrong, for a person and for a program."""

    code: Name
    """A word of `impasto.server.protocol.errors`."""
    message: Words
    """What was expected, what came, what to do."""
    retryable: bool = False
    """Whether the same request may succeed later without a change."""
    retry_after_s: Seconds = 0.0
    field: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """The field of the header that was refused, where it was one."""
    incident: Annotated[str, Text(64)] = ""
    """By which the server's log can be searched."""


@frozen_dataclass
class Queued:
    """The request waits; sent only if it does not start at once, and again when much changes. Lossy."""

    TYPE: ClassVar = "queued"

    id: Id
    position: Count


@frozen_dataclass
class Cancel:
    """Takes a request back, wherever it is. Its terminal message follows; nothing if it had one. (control)"""

    TYPE: ClassVar = "cancel"

    id: Id


@frozen_dataclass
class Failed:
    """The request could not be answered. Terminal for `Submit` and `SubmitShot`."""

    TYPE: ClassVar = "failed"

    id: Id
    error: ErrorFacts
    path: Words = ""
    """Of a shot job: where the frames before the error are; empty where there are none."""
    rendered: Count = 0


@frozen_dataclass
class Cancelled:
    """The request was taken back. Terminal."""

    TYPE: ClassVar = "cancelled"

    id: Id
    reason: Literal["asked", "superseded", "session", "shutdown"] = "asked"
    path: Words = ""
    """Of a shot job: where the finished frames are; empty where there are none."""
    rendered: Count = 0
    seconds: Seconds = 0.0


@frozen_dataclass
class Expired:
    """The deadline passed before the frame was painted. Terminal."""

    TYPE: ClassVar = "expired"

    id: Id
    late_s: Seconds
