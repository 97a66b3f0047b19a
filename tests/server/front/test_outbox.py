"""The outbox: order, bounds, and peers that take nothing."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.server.front.outbox import Channel, Outbox, OutgoingQueue, PeerAddress, SendResult, SendTracker, outgoing
from impasto.server.protocol import codec
from impasto.server.protocol.messages import Pong

HERE = PeerAddress(True, Channel.CONTROL, b"peer")


class Wire:
    """Takes `room` messages, then is full; or has no such peer."""

    def __init__(self, room: int = 1000, *, gone: bool = False) -> None:
        self.room, self.gone = room, gone
        self.sent: list[int] = []

    def __call__(
        self, to: PeerAddress, parts: Sequence[codec.Part], tracked: bool
    ) -> tuple[SendResult, SendTracker | None]:
        if self.gone:
            return SendResult.GONE, None
        if len(self.sent) >= self.room:
            return SendResult.FULL, None
        message, _ = codec.decode(parts, codec.FROM_SERVER)
        assert isinstance(message, Pong)
        self.sent.append(message.token)
        return SendResult.SENT, None


def test_messages_leave_in_order() -> None:
    wire = Wire()
    outbox, queue = Outbox(wire), OutgoingQueue(1 << 20, HERE)
    for token in range(5):
        outbox.put(queue, outgoing(Pong(token)))
    assert outbox.flush() == []
    assert wire.sent == [0, 1, 2, 3, 4]
    assert queue.bytes == 0


def test_what_a_full_peer_does_not_take_waits_and_nothing_is_lost() -> None:
    wire = Wire(room=2)
    outbox, queue = Outbox(wire), OutgoingQueue(1 << 20, HERE)
    for token in range(5):
        outbox.put(queue, outgoing(Pong(token)))
    assert outbox.flush() == []
    assert outbox.blocked
    wire.room = 100
    assert outbox.flush() == []
    assert wire.sent == [0, 1, 2, 3, 4]
    assert not outbox.blocked


def test_a_peer_that_lets_too_many_bytes_wait_is_given_up() -> None:
    outbox, queue = Outbox(Wire(room=0)), OutgoingQueue(1000, HERE)
    outbox.put(queue, outgoing(Pong(1), bytes(1001)))
    assert outbox.flush() == [(queue, SendResult.FULL)]


def test_a_peer_that_lets_too_many_messages_wait_is_given_up() -> None:
    outbox, queue = Outbox(Wire(room=0)), OutgoingQueue(1 << 30, HERE)
    for token in range(1025):
        outbox.put(queue, outgoing(Pong(token)))
    assert outbox.flush() == [(queue, SendResult.FULL)]


def test_a_peer_that_is_gone_is_told_and_its_messages_are_kept() -> None:
    outbox, queue = Outbox(Wire(gone=True)), OutgoingQueue(1 << 20, HERE)
    outbox.put(queue, outgoing(Pong(1)))
    assert outbox.flush() == [(queue, SendResult.GONE)]
    assert len(queue.waiting) == 1


def test_messages_wait_for_a_client_that_reconnects_behind_its_welcome() -> None:
    wire = Wire()
    outbox, queue = Outbox(wire), OutgoingQueue(1 << 20)
    outbox.put(queue, outgoing(Pong(1)))
    assert outbox.flush() == []
    assert not outbox.blocked
    assert not outbox.pending
    queue.address = HERE
    outbox.put_first(queue, outgoing(Pong(0)))
    outbox.flush()
    assert wire.sent == [0, 1]


def test_the_owner_of_the_memory_of_a_message_is_told_once_when_it_is_dropped() -> None:
    told: list[SendTracker | None] = []
    outbox, queue = Outbox(Wire(room=0)), OutgoingQueue(1 << 20, HERE)
    message = outgoing(Pong(1), b"samples")
    message.on_sent = told.append
    outbox.put(queue, message)
    outbox.flush()
    outbox.forget(queue)
    assert told == [None]
    assert outbox.flush() == []
