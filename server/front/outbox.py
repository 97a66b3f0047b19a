"""Messages on their way to clients: a bounded queue for each socket of each client, so that a slow one delays no other.

Nothing here knows sockets. `Outbox` is given a function that tries to send and returns the result. What a client does
not take yet waits in its queue, in order, and is tried again. A client that lets too much wait is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, TypeAlias

from impasto.server.protocol import codec
from impasto.server.protocol.messages import FromServer

QUEUE_MESSAGES: Final = 1024
"""Messages that may wait for one socket of a client, however small they are."""
UNBOUND_MESSAGES: Final = 256
"""Answers to peers without a session that are kept until the next flush."""


class Channel(Enum):
    """Which of a client's two sockets: pixels, or everything else."""

    CONTROL = "control"
    DATA = "data"

    __hash__ = object.__hash__  # Enum's own is written in Python, and every message is looked up by its channel


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """How a peer is reached: the socket of ours that it is connected to, and the id that ZeroMQ gave it there."""

    local: bool
    channel: Channel
    peer: bytes


class SendTracker(Protocol):
    """Says when ZeroMQ has let go of the memory of a message (`zmq.MessageTracker`)."""

    @property
    def done(self) -> bool: ...


class SendResult(Enum):
    """The result of an attempt to send."""

    SENT = "sent"
    FULL = "full"
    """The peer does not read fast enough; try again."""
    GONE = "gone"
    """There is no such peer any more."""


Send: TypeAlias = Callable[[PeerAddress, Sequence[codec.Part], bool], tuple[SendResult, SendTracker | None]]
"""Tries to send without waiting; with the flag it returns a tracker too."""
OnSent: TypeAlias = Callable[[SendTracker | None], None]
"""Called once, when a message is sent (with a tracker, while its memory is still read) or dropped (None)."""


@dataclass(slots=True)
class OutgoingMessage:
    """A message as it goes over the wire."""

    parts: tuple[codec.Part, ...]
    bytes: int
    on_sent: OnSent | None = None

    def drop(self) -> None:
        """It will not be sent."""
        if self.on_sent is not None:
            self.on_sent(None)


def outgoing(message: FromServer, payload: codec.Part | None = None) -> OutgoingMessage:
    """A message, and one part of samples behind it, ready to be sent. Raises as `codec.encode` does."""
    head = codec.encode(message)
    if payload is None:
        return OutgoingMessage(head, len(head[1]))
    size = payload.nbytes if isinstance(payload, memoryview) else len(payload)
    return OutgoingMessage((*head, payload), len(head[1]) + size)


@dataclass(slots=True, eq=False)
class OutgoingQueue:
    """Messages for one socket of one client. Without an address, while the client reconnects, they wait."""

    most_bytes: int
    address: PeerAddress | None = None
    waiting: deque[OutgoingMessage] = field(default_factory=deque)
    bytes: int = 0

    def clear(self) -> None:
        """Drop everything that waits."""
        for each in self.waiting:
            each.drop()
        self.waiting.clear()
        self.bytes = 0


class Outbox:
    """Every queue that has something in it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._filled: dict[OutgoingQueue, None] = {}
        self._unbound: list[tuple[PeerAddress, OutgoingMessage]] = []
        self.blocked = False
        """Whether the last flush met a peer that takes nothing now, so that the next one should be soon."""

    def put(self, queue: OutgoingQueue, message: OutgoingMessage) -> None:
        """Append to a queue; the next `flush` sends it."""
        queue.waiting.append(message)
        queue.bytes += message.bytes
        self._filled[queue] = None

    def put_first(self, queue: OutgoingQueue, message: OutgoingMessage) -> None:
        """Put before everything that waits: the answer to a client that reconnected."""
        queue.waiting.appendleft(message)
        queue.bytes += message.bytes
        self._filled[queue] = None

    @property
    def pending(self) -> bool:
        """Whether anything waits for a peer that is connected."""
        return any(queue.waiting and queue.address is not None for queue in self._filled)

    def put_unbound(self, address: PeerAddress, message: OutgoingMessage) -> None:
        """Send to a peer that has no session, at the next `flush` or never."""
        if len(self._unbound) < UNBOUND_MESSAGES:
            self._unbound.append((address, message))

    def forget(self, queue: OutgoingQueue) -> None:
        """Drop a queue with everything in it."""
        self._filled.pop(queue, None)
        queue.clear()

    def flush(self) -> list[tuple[OutgoingQueue, SendResult]]:
        """Send what can be sent now; the queues whose peer is gone (GONE), or lets too much wait (FULL)."""
        unbound, self._unbound = self._unbound, []
        for address, message in unbound:
            self._send(address, message.parts, False)
        failed: list[tuple[OutgoingQueue, SendResult]] = []
        self.blocked = False
        for queue in list(self._filled):
            result = self._drain(queue)
            if result is SendResult.SENT:
                self._filled.pop(queue, None)
            elif result is SendResult.GONE or queue.bytes > queue.most_bytes or len(queue.waiting) > QUEUE_MESSAGES:
                failed.append((queue, result))
            elif queue.address is not None:
                self.blocked = True
        return failed

    def _drain(self, queue: OutgoingQueue) -> SendResult:
        while queue.waiting:
            if queue.address is None:
                return SendResult.FULL
            first = queue.waiting[0]
            result, tracker = self._send(queue.address, first.parts, first.on_sent is not None)
            if result is not SendResult.SENT:
                return result
            queue.waiting.popleft()
            queue.bytes -= first.bytes
            if first.on_sent is not None:
                first.on_sent(tracker)
        return SendResult.SENT
