"""What is on its way to clients: an outbox for each socket of each client, bounded, so that a slow one holds up nobody.

Nothing here knows sockets. `Post` is given a function that tries to send and says what became of it; what a client
does not take yet waits in its outbox, in order, and is tried again. A client that lets too much wait is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, TypeAlias

from impasto.server.protocol import codec
from impasto.server.protocol.messages import FromServer

LETTERS: Final = 1024
"""That may wait for one socket of a client, however small they are."""
STRANGERS: Final = 256
"""Answers to peers without a session that are kept until the next flush."""


class Channel(Enum):
    """Which of the two sockets: pixels, or everything else."""

    CONTROL = "control"
    DATA = "data"

    __hash__ = object.__hash__  # Enum's own is written in Python, and every message is looked up by its channel


@dataclass(frozen=True, slots=True)
class Route:
    """How a peer is reached: the socket of ours that it is connected to, and the id that ZeroMQ gave it there."""

    local: bool
    channel: Channel
    peer: bytes


class Receipt(Protocol):
    """Says when ZeroMQ has let go of the memory of a letter (`zmq.MessageTracker`)."""

    @property
    def done(self) -> bool: ...


class Delivery(Enum):
    """What became of an attempt to send."""

    SENT = "sent"
    FULL = "full"
    """The peer does not read fast enough; to be tried again."""
    GONE = "gone"
    """There is no such peer any more."""


Send: TypeAlias = Callable[[Route, Sequence[codec.Part], bool], tuple[Delivery, Receipt | None]]
"""Tries to send without waiting; the receipt is asked for where the flag is set."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it goes over the wire."""

    parts: tuple[codec.Part, ...]
    bytes: int
    over: Callable[[Receipt | None], None] | None = None
    """Told once, when the letter is sent (with a receipt, where its memory is still read from) or dropped (None)."""


def letter(
    message: FromServer, payload: codec.Part | None = None, over: Callable[[Receipt | None], None] | None = None
) -> Letter:
    """A message, and one part of samples behind it, ready to be sent. Raises as `codec.encode` does."""
    head = codec.encode(message)
    if payload is None:
        return Letter(head, len(head[1]), over)
    size = payload.nbytes if isinstance(payload, memoryview) else len(payload)
    return Letter((*head, payload), len(head[1]) + size, over)


@dataclass(slots=True, eq=False)
class Line:
    """One socket of one client. Without a route, while the client reconnects, letters wait."""

    most_bytes: int
    route: Route | None = None
    waiting: deque[Letter] = field(default_factory=deque)
    bytes: int = 0

    def clear(self) -> None:
        """Drop what waits."""
        for each in self.waiting:
            if each.over is not None:
                each.over(None)
        self.waiting.clear()
        self.bytes = 0


class Post:
    """Every outbox that has something in it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._stirred: dict[Line, None] = {}
        self._strangers: list[tuple[Route, Letter]] = []
        self.blocked = False
        """Whether the last flush met a peer that takes nothing now, so that the next one should not be far."""

    def put(self, line: Line, item: Letter) -> None:
        """Append to an outbox; it is sent by the next `flush`."""
        line.waiting.append(item)
        line.bytes += item.bytes
        self._stirred[line] = None

    def put_first(self, line: Line, item: Letter) -> None:
        """Put before everything that waits: the answer by which a client that came back knows where it is."""
        line.waiting.appendleft(item)
        line.bytes += item.bytes
        self._stirred[line] = None

    @property
    def pending(self) -> bool:
        """Whether anything waits for a peer that is there."""
        return any(line.waiting and line.route is not None for line in self._stirred)

    def toss(self, route: Route, item: Letter) -> None:
        """Send to a peer that has no session, as far as it goes: what cannot be sent at once is lost."""
        if len(self._strangers) < STRANGERS:
            self._strangers.append((route, item))

    def forget(self, line: Line) -> None:
        """Drop an outbox with what is in it."""
        self._stirred.pop(line, None)
        line.clear()

    def flush(self) -> list[tuple[Line, Delivery]]:
        """Send what can be sent now; the lines whose peer is gone, and those that let too much wait (FULL)."""
        strangers, self._strangers = self._strangers, []
        for route, item in strangers:
            self._send(route, item.parts, False)
        lost: list[tuple[Line, Delivery]] = []
        self.blocked = False
        for line in list(self._stirred):
            outcome = self._drain(line)
            if outcome is Delivery.SENT:
                self._stirred.pop(line, None)
            elif outcome is Delivery.GONE or line.bytes > line.most_bytes or len(line.waiting) > LETTERS:
                lost.append((line, outcome))
            elif line.route is not None:
                self.blocked = True
        return lost

    def _drain(self, line: Line) -> Delivery:
        while line.waiting:
            if line.route is None:
                return Delivery.FULL
            first = line.waiting[0]
            outcome, receipt = self._send(line.route, first.parts, first.over is not None)
            if outcome is not Delivery.SENT:
                return outcome
            line.waiting.popleft()
            line.bytes -= first.bytes
            if first.over is not None:
                first.over(receipt)
        return Delivery.SENT
