"""Every message of the wire, as a frozen dataclass: its fields, their bounds, who sends it and what answers it.

This folder is the specification. A client in another language needs it, `field_types.py`, `limits.py`, and the text
below; `hosts/ofx/wire.c` is one in C.

**Sockets.** The server binds two ROUTER sockets, *control* and *data*; a client connects a DEALER to each. On one
machine they are `control.sock` and `data.sock` in the server's runtime folder (mode 0700). Over a network they are
`tcp://HOST:PORT` and `tcp://HOST:PORT+1`, with CURVE. `Submit`, `SubmitShot` and everything that answers them go over
data; all other messages go over control, so that a ping or a cancel never waits behind pixels.

**Parts.** A message is two to sixteen ZeroMQ parts, without an empty delimiter:

    0   preamble, 8 bytes: b"IMPA", major (u8), minor (u8), flags (u16, little endian, 0)
    1   header, at most 64 KiB of msgpack: one map with string keys; "type" names the message
    2…  samples (`Submit` and `Done` with inline pixels), or a PNG (`PreviewFound`)

A field with a default may be left out. A key that the receiver does not know is ignored, so that a minor version may
add fields; a *message* that the server does not know is answered with `Rejected`. NaN and infinity are refused in every
number. Text is UTF-8 without control characters. Times are relative; no clock is compared with another machine's.
What a later minor version added bears it in brackets: (1.1).

**Order.** `Hello` (control) → `Welcome`; `Join` (data) with the session of the welcome → `Joined`; then anything.
`Submit` and `SubmitShot` get exactly one terminal message, `Done`, `ShotDone`, `Failed`, `Cancelled` or `Expired`, and
the same one again if they are sent again with the same id. A request that is sent again while it runs attaches to it;
another request under its id is `Rejected`, and so is whatever else belongs to no request.

**Ring.** On one machine pixels pass through shared memory. `OpenRing` → `RingOffered` names a file to map; the client
reads 16 bytes at `nonce_offset` and returns them in `AttachRing` → `RingReady`; by then the name is gone. The ring
holds `pairs` pairs of slots of `slot_bytes` each: pair i has its in-slot at `first_slot + 2 i * slot_bytes` and its
out-slot one `slot_bytes` further. The client chooses a pair that it does not use, writes the samples (and the matte
behind them) into the in-slot and names the pair in `Submit` with a generation that is higher than the pair's last;
the result is in the out-slot, in the same layout, when `Done` arrives, and stays until the client names the pair
again. Between `Submit` and its terminal message the pair belongs to the server.

**Inline.** Where mapping fails, and over a network, part 2 holds the samples of `Submit` and part 3 those of its
matte; part 2 of `Done` holds the result. `encoding` says how: "raw", or "blosc2" where both sides named it.
"""

from __future__ import annotations

from typing import TypeAlias

from impasto.server.protocol.messages.answers import Cancel, Cancelled, ErrorFacts, Expired, Failed, Queued
from impasto.server.protocol.messages.frame import Done, MattePicture, Picture, Submit
from impasto.server.protocol.messages.render_settings import RenderSettings
from impasto.server.protocol.messages.ring import AttachRing, CloseRing, OpenRing, RingOffered, RingReady, Slot
from impasto.server.protocol.messages.session import (
    Goodbye,
    Hello,
    Join,
    Joined,
    ParameterFacts,
    Ping,
    Pong,
    Rejected,
    Shutdown,
    ShuttingDown,
    Welcome,
)
from impasto.server.protocol.messages.shot import (
    AnimatedParameter,
    ShotDone,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
    Stretch,
    SubmitShot,
)
from impasto.server.protocol.messages.status import (
    AskStatus,
    CancelClient,
    ClientCancelled,
    ClientFacts,
    DeviceFacts,
    PastError,
    Status,
)
from impasto.server.protocol.messages.styles import (
    ListStyles,
    PreviewFound,
    ShowPreview,
    StyleFacts,
    StyleList,
    StylesChanged,
)

FromClient: TypeAlias = (
    Hello
    | Join
    | OpenRing
    | AttachRing
    | CloseRing
    | Submit
    | SubmitShot
    | Cancel
    | Ping
    | ListStyles
    | ShowPreview
    | AskStatus
    | CancelClient
    | Shutdown
    | Goodbye
)
FromServer: TypeAlias = (
    Welcome
    | Joined
    | RingOffered
    | RingReady
    | Queued
    | Done
    | ShotStarted
    | ShotProgress
    | ShotDone
    | Failed
    | Cancelled
    | Expired
    | Pong
    | StyleList
    | StylesChanged
    | PreviewFound
    | Status
    | ClientCancelled
    | ShuttingDown
    | Rejected
)
ShotEvent: TypeAlias = ShotStarted | ShotProgress
"""What happens to a shot before it ends."""
ShotEnd: TypeAlias = ShotDone | Cancelled
"""How rendering a shot ends, unless an error is raised."""
Terminal: TypeAlias = Done | ShotDone | Failed | Cancelled | Expired

__all__ = [
    "AnimatedParameter", "AskStatus", "AttachRing", "Cancel", "CancelClient", "Cancelled", "ClientCancelled",
    "ClientFacts", "CloseRing",
    "DeviceFacts", "Done", "ErrorFacts", "Expired", "Failed", "FromClient", "FromServer", "Goodbye", "Hello",
    "Join", "Joined", "ListStyles", "MattePicture", "OpenRing", "ParameterFacts", "PastError", "Picture", "Ping",
    "Pong", "PreviewFound", "Queued", "Rejected", "RenderSettings", "RingOffered", "RingReady", "ShotDone",
    "ShotEnd", "ShotEvent", "ShotJob", "ShotProgress", "ShotStarted", "ShowPreview", "Shutdown", "ShuttingDown",
    "Slot", "Status", "StoredFrame", "Stretch", "StyleFacts", "StyleList", "StylesChanged", "Submit", "SubmitShot",
    "Terminal", "Welcome",
]  # fmt: skip
