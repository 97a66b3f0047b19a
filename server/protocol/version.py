"""What a client and a server agree on before anything is rendered, as a pure function of what both say."""

from __future__ import annotations

from dataclasses import field

from impasto.core.errors import IncompatibleServer
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import Lane
from impasto.server.protocol.limits import MAJOR, MINOR, Limits
from impasto.server.protocol.messages import Hello


@frozen_dataclass
class Offer:
    """What a server has for a connection."""

    local: bool
    """Both are on one machine, so that memory can be shared."""
    encodings: tuple[str, ...] = ("raw",)
    """What this server packs and unpacks, the one it likes best first."""
    limits: Limits = field(default_factory=Limits)
    major: int = MAJOR
    minor: int = MINOR


@frozen_dataclass
class Agreement:
    """What both sides go by from now on; the fields of `Welcome` by the same names."""

    major: int
    minor: int
    lane: Lane
    lease_s: float
    heartbeat_s: float
    credit_frames: int
    credit_bytes: int
    transports: tuple[str, ...]
    encodings: tuple[str, ...]
    """Those that both have, the server's favourite first; 'raw' always."""


def negotiate(hello: Hello, offer: Offer) -> Agreement:
    """The lower minor, what both can, and the lane's lease and credit. Raises IncompatibleServer for another major."""
    if hello.major != offer.major:
        raise IncompatibleServer(
            refusal("client", (hello.major, hello.minor), "server", (offer.major, offer.minor), hello.client)
        )
    limits = offer.limits
    batch = hello.lane == "batch"
    return Agreement(
        major=offer.major,
        minor=min(hello.minor, offer.minor),
        lane=hello.lane,
        lease_s=limits.batch_lease_s if batch else limits.interactive_lease_s,
        heartbeat_s=limits.heartbeat_s,
        credit_frames=limits.batch_frames if batch else limits.interactive_frames,
        credit_bytes=limits.batch_bytes if batch else limits.interactive_bytes,
        transports=("ring", "inline") if offer.local else ("inline",),
        encodings=tuple(name for name in offer.encodings if name in hello.encodings and name != "raw") + ("raw",),
    )


def refusal(sender: str, theirs: tuple[int, int], receiver: str, ours: tuple[int, int], program: str = "") -> str:
    """Which protocols do not meet, and which side to upgrade. `sender` and `receiver` are 'client' and 'server'."""
    older = sender if theirs < ours else receiver
    name = f"{sender} '{program}'" if program else sender
    return (
        f"expected protocol {ours[0]} of the {name}, got {theirs[0]}.{theirs[1]}, while this {receiver} speaks "
        f"{ours[0]}.{ours[1]}; upgrade the {older}'s impasto, so that both are of one major version"
    )
