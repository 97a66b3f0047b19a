"""Outboxes: order, bounds, and peers that take nothing."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.server.front.outbox import Channel, Delivery, Line, Post, Receipt, Route, letter
from impasto.server.protocol import codec
from impasto.server.protocol.messages import Pong

HERE = Route(True, Channel.CONTROL, b"peer")


class Wire:
    """Takes `room` messages, then is full; or has no such peer."""

    def __init__(self, room: int = 1000, *, gone: bool = False) -> None:
        self.room, self.gone = room, gone
        self.sent: list[int] = []

    def __call__(self, route: Route, parts: Sequence[codec.Part], tracked: bool) -> tuple[Delivery, Receipt | None]:
        if self.gone:
            return Delivery.GONE, None
        if len(self.sent) >= self.room:
            return Delivery.FULL, None
        message, _ = codec.decode(parts, codec.FROM_SERVER)
        assert isinstance(message, Pong)
        self.sent.append(message.token)
        return Delivery.SENT, None


def test_letters_leave_in_order() -> None:
    wire = Wire()
    post, line = Post(wire), Line(1 << 20, HERE)
    for token in range(5):
        post.put(line, letter(Pong(token)))
    assert post.flush() == []
    assert wire.sent == [0, 1, 2, 3, 4]
    assert line.bytes == 0


def test_what_a_full_peer_does_not_take_waits_and_nothing_is_lost() -> None:
    wire = Wire(room=2)
    post, line = Post(wire), Line(1 << 20, HERE)
    for token in range(5):
        post.put(line, letter(Pong(token)))
    assert post.flush() == []
    assert post.blocked
    wire.room = 100
    assert post.flush() == []
    assert wire.sent == [0, 1, 2, 3, 4]
    assert not post.blocked


def test_a_peer_that_lets_too_many_bytes_wait_is_given_up() -> None:
    post, line = Post(Wire(room=0)), Line(1000, HERE)
    post.put(line, letter(Pong(1), bytes(1001)))
    assert post.flush() == [(line, Delivery.FULL)]


def test_a_peer_that_lets_too_many_letters_wait_is_given_up() -> None:
    post, line = Post(Wire(room=0)), Line(1 << 30, HERE)
    for token in range(1025):
        post.put(line, letter(Pong(token)))
    assert post.flush() == [(line, Delivery.FULL)]


def test_a_peer_that_is_gone_is_told_and_its_letters_kept() -> None:
    post, line = Post(Wire(gone=True)), Line(1 << 20, HERE)
    post.put(line, letter(Pong(1)))
    assert post.flush() == [(line, Delivery.GONE)]
    assert len(line.waiting) == 1


def test_letters_wait_for_a_client_that_reconnects_behind_its_welcome() -> None:
    wire = Wire()
    post, line = Post(wire), Line(1 << 20)
    post.put(line, letter(Pong(1)))
    assert post.flush() == []
    assert not post.blocked
    assert not post.pending
    line.route = HERE
    post.put_first(line, letter(Pong(0)))
    post.flush()
    assert wire.sent == [0, 1]


def test_whoever_owns_the_memory_of_a_letter_is_told_once_when_it_is_dropped() -> None:
    told: list[Receipt | None] = []
    post, line = Post(Wire(room=0)), Line(1 << 20, HERE)
    post.put(line, letter(Pong(1), b"samples", told.append))
    post.flush()
    post.forget(line)
    assert told == [None]
    assert post.flush() == []
