"""Connect, stay connected and leave; what is refused outside of a request."""

from __future__ import annotations

from typing import Annotated, ClassVar

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import Amount, Bytes, Count, Id, Lane, Many, Name, Seconds, Whole, Words
from impasto.server.protocol.messages.answers import ErrorFacts


@frozen_dataclass
class ParameterFacts:
    """One control: the fields of `impasto.core.params.Parameter`."""

    name: Name
    minimum: Amount
    maximum: Amount
    default: Amount
    help: Words


@frozen_dataclass
class Hello:
    """The first message on control. Answer: `Welcome`, or `Rejected`."""

    TYPE: ClassVar = "hello"

    client: Name
    """The program that asks: 'blender 5.0.1', 'impasto render'."""
    major: Annotated[int, Whole(0, 255)]
    minor: Annotated[int, Whole(0, 255)]
    pid: Annotated[int, Whole(0, 1 << 31)]
    host: Words = ""
    user: Words = ""
    """Who asks, for fairness and the status; over CURVE the key's name takes its place."""
    lane: Lane = "interactive"
    """The lane of requests that name none, and the length of the lease."""
    encodings: Annotated[tuple[Name, ...], Many(8)] = ("raw",)
    resume: Annotated[bytes, Bytes(16)] | None = None
    """The session of an earlier welcome, to go on with it after a lost connection; `Join` follows as ever."""
    control_only: bool = False
    """Nothing will be rendered: `Submit`, `SubmitShot` and `OpenRing` are refused, and there is room for this client
    where others find none. (1.1)"""
    replaces: Annotated[bytes, Bytes(16)] | None = None
    """The session of an earlier welcome that the client will not go on with: it ends now and not with its lease, and
    what ran in it is stopped. A job of it may be sent again under its id, which is busy until it has stopped. (1.1)"""


@frozen_dataclass
class Welcome:
    """The answer to `Hello`: what the client may do."""

    TYPE: ClassVar = "welcome"

    server: Name
    """'impasto 0.2.0'"""
    major: Annotated[int, Whole(0, 255)]
    minor: Annotated[int, Whole(0, 255)]
    """The lower of both sides' minors: what both understand."""
    boot: Id
    """Changes with every start of the server; another boot knows no session, ring or request of the last."""
    session: Id
    pid: Count
    lease_s: Seconds
    """A session that is silent for longer is dropped; send `Ping` every `heartbeat_s`."""
    heartbeat_s: Seconds
    credit_frames: Count
    """Frame requests that may be under way at once."""
    credit_bytes: Count
    transports: Annotated[tuple[Name, ...], Many(8)]
    """'ring' and 'inline', as this connection may use them."""
    encodings: Annotated[tuple[Name, ...], Many(8)]
    devices: Annotated[tuple[Name, ...], Many(64)]
    parameters: Annotated[tuple[ParameterFacts, ...], Many(32)]
    before: Annotated[tuple[ParameterFacts, ...], Many(32)]
    after: Annotated[tuple[ParameterFacts, ...], Many(32)]
    pixels: Count
    """The largest picture in pixels."""
    raw_bytes: Count
    resumed: bool = False


@frozen_dataclass
class Join:
    """The first message on data, with the session of the welcome. Answer: `Joined`, or `Rejected`."""

    TYPE: ClassVar = "join"

    session: Id


@frozen_dataclass
class Joined:
    """The answer to `Join`: requests are taken from now on."""

    TYPE: ClassVar = "joined"


@frozen_dataclass
class Ping:
    """Answer: `Pong` with the same token, at once. Renews the lease, as every message does."""

    TYPE: ClassVar = "ping"

    token: Count


@frozen_dataclass
class Pong:
    """The answer to `Ping`. One with token 0 that nobody asked for looks whether the client is still there."""

    TYPE: ClassVar = "pong"

    token: Count


@frozen_dataclass
class Goodbye:
    """The client leaves: its queued requests are dropped, its ring goes. No answer. (control)"""

    TYPE: ClassVar = "goodbye"


@frozen_dataclass
class Shutdown:
    """Asks the server to take no more work, finish what runs and leave. Answer: `ShuttingDown` or `Failed`."""

    TYPE: ClassVar = "shutdown"

    id: Id
    at_once: bool = False
    """Cancel what runs instead of finishing it."""


@frozen_dataclass
class ShuttingDown:
    """The server takes no more work and leaves; to whoever asked, and to every session."""

    TYPE: ClassVar = "shutting_down"

    id: Annotated[bytes, Bytes(16)] | None = None
    seconds: Seconds = 0.0
    """The longest that it waits for what runs."""


@frozen_dataclass
class Rejected:
    """A message that was not taken, without a request to hang the answer on."""

    TYPE: ClassVar = "rejected"

    error: ErrorFacts
