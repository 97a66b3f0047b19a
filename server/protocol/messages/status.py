"""How the server is."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import Amount, Count, Id, Lane, Many, Name, Precision, Seconds, Text, Words


@frozen_dataclass
class DeviceFacts:
    """One worker and what it works on."""

    device: Annotated[str, Text(32)]
    name: Words
    state: Literal["starting", "ready", "busy", "lost"]
    pid: Count
    precision: Precision
    restarts: Count
    loaded: Annotated[tuple[Name, ...], Many(64)]
    """Styles that are warm."""
    rss_bytes: Count
    device_bytes: Count
    """Memory in use on the device; 0 where it is the processor's own."""
    device_total_bytes: Count
    eight_bit_precision: Name = ""
    """Of results of 8 bits; empty where it is `precision`."""


@frozen_dataclass
class ClientFacts:
    """One session."""

    client: Name
    host: Words
    user: Words
    pid: Count
    lane: Lane
    transport: Literal["ring", "inline", "none"]
    queued: Count
    running: Count
    number: Count = 0
    """By which `CancelClient` names it, counted from 1 since the server's start; 0 of a server before 1.2. (1.2)"""


@frozen_dataclass
class PastError:
    """An error that was answered, newest last."""

    age_s: Seconds
    code: Name
    message: Words
    incident: Annotated[str, Text(64)] = ""


@frozen_dataclass
class AskStatus:
    """Answer: `Status`."""

    TYPE: ClassVar = "ask_status"

    id: Id


@frozen_dataclass
class CancelClient:
    """Takes back all that a client asked for: for a client of this machine, or a key with the role admin. (1.2)

    Each request gets its `Cancelled`; the client stays connected. Answer: `ClientCancelled`, or `Failed`.
    """

    TYPE: ClassVar = "cancel_client"

    id: Id
    client: Count
    """A `ClientFacts.number`."""


@frozen_dataclass
class ClientCancelled:
    """What a client had asked for is being stopped. (1.2)"""

    TYPE: ClassVar = "client_cancelled"

    id: Id
    requests: Count
    """Frame requests and shot jobs; 0 where it had none."""


@frozen_dataclass
class Status:
    """How the server is."""

    TYPE: ClassVar = "status"

    id: Id
    server: Name
    pid: Count
    boot: Id
    uptime_s: Seconds
    health: Literal["ok", "starting", "degraded", "draining"]
    problems: Annotated[tuple[Words, ...], Many(16)]
    """Why the health is not 'ok'."""
    devices: Annotated[tuple[DeviceFacts, ...], Many(64)]
    clients: Annotated[tuple[ClientFacts, ...], Many(64)]
    styles: Count
    queued: Count
    running: Count
    jobs: Count
    frames: Count
    """Frames painted since the start."""
    fps: Amount
    """Over the last ten seconds."""
    rss_bytes: Count
    """Memory of the front process."""
    endpoints: Annotated[tuple[Words, ...], Many(8)]
    errors: Annotated[tuple[PastError, ...], Many(16)]
    counters: Annotated[dict[Name, Count], Many(64)]
