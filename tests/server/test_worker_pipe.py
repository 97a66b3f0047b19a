"""The link between front and worker: whole messages, open files, and an end that is always noticed."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from impasto.core.errors import ServerError
from impasto.server import worker_pipe
from impasto.server.protocol import codec
from impasto.server.protocol.worker_messages import CheckStyle, MapRing, Quit, StopWork, WorkerNote
from impasto.server.worker_pipe import Link, LinkClosed, link_pair, worker_end
from tests.waiting import until

LIMIT_S = 5.0


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    """The front's end and the worker's."""
    front, theirs = link_pair()
    worker = worker_end(theirs.detach())
    yield front, worker
    front.close()
    worker.close()


@pytest.fixture
def raw() -> Iterator[tuple[Link, socket.socket]]:
    """A link whose other end is a bare socket."""
    ours, theirs = socket.socketpair()
    link = Link(ours, codec.FROM_FRONT)
    yield link, theirs
    link.close()
    theirs.close()


def framed(message: object) -> bytes:
    body = codec.encode_link(message)
    return struct.pack("<I", len(body)) + body


def all_of(link: Link, count: int) -> list[object]:
    """The next messages, waiting for them up to a limit."""
    return [message for message, _ in with_files(link, count)]


def with_files(link: Link, count: int) -> list[tuple[object, int | None]]:
    """The same, each with its open file."""
    found: list[tuple[object, int | None]] = []

    def complete() -> bool:
        link.wait(0.1)
        found.extend(link.receive())
        return len(found) >= count

    until(complete, LIMIT_S, pause_s=0)
    return found


def test_a_message_arrives_as_it_was_sent(ends: tuple[Link, Link]) -> None:
    front, worker = ends
    front.send(StopWork(b"i" * 16))
    worker.send(WorkerNote("info", "hello", {"a": "b"}))
    assert worker.receive() == [(StopWork(b"i" * 16), None)]
    assert front.receive() == [(WorkerNote("info", "hello", {"a": "b"}), None)]


def test_nothing_to_receive_is_no_wait(ends: tuple[Link, Link]) -> None:
    assert ends[0].receive() == []


def test_a_message_may_arrive_byte_by_byte(raw: tuple[Link, socket.socket]) -> None:
    link, other = raw
    data = framed(CheckStyle("a", "/a.safetensors"))
    for index in range(len(data)):
        assert link.receive() == []
        other.send(data[index : index + 1])
    assert link.receive() == [(CheckStyle("a", "/a.safetensors"), None)]


def test_many_messages_in_one_read_are_told_apart(raw: tuple[Link, socket.socket]) -> None:
    link, other = raw
    other.sendall(framed(StopWork(b"1" * 16)) + framed(StopWork(b"2" * 16)) + framed(Quit())[:3])
    assert [message for message, _ in link.receive()] == [StopWork(b"1" * 16), StopWork(b"2" * 16)]


@pytest.mark.parametrize("length", [worker_pipe.MESSAGE_BYTES + 1, (1 << 31) - 1, (1 << 32) - 1])
def test_a_length_beyond_the_limit_ends_the_link(raw: tuple[Link, socket.socket], length: int) -> None:
    link, other = raw
    other.sendall(framed(StopWork(b"1" * 16)) + struct.pack("<I", length) + b"x" * 100)
    assert link.receive() == [(StopWork(b"1" * 16), None)]
    with pytest.raises(LinkClosed, match="at most"):
        link.receive()
    with pytest.raises(LinkClosed):
        link.receive()


def test_what_is_no_message_ends_the_link(raw: tuple[Link, socket.socket]) -> None:
    link, other = raw
    other.sendall(struct.pack("<I", 3) + b"\xc1\xc1\xc1")
    with pytest.raises(LinkClosed, match="expected a message"):
        link.receive()


def test_a_message_of_the_wrong_side_ends_the_link(raw: tuple[Link, socket.socket]) -> None:
    link, other = raw
    other.sendall(framed(WorkerNote("info", "hello")))
    with pytest.raises(LinkClosed):
        link.receive()


def test_what_was_said_before_the_end_is_heard(ends: tuple[Link, Link]) -> None:
    front, worker = ends
    worker.send(WorkerNote("info", "last words"))
    worker.close()
    assert [message for message, _ in front.receive()] == [WorkerNote("info", "last words")]
    with pytest.raises(LinkClosed, match="closed the link"):
        front.receive()


def test_sending_to_a_closed_end_says_so(ends: tuple[Link, Link]) -> None:
    front, worker = ends
    worker.close()
    with pytest.raises(LinkClosed):
        front.send(Quit())


def test_an_open_file_travels_beside_its_own_message(ends: tuple[Link, Link]) -> None:
    front, worker = ends
    files = [os.memfd_create(f"ring-{index}") for index in range(20)]
    for index, file in enumerate(files):
        os.write(file, bytes([index]))
        front.send(StopWork(b"i" * 16))
        front.send(MapRing(index, "", 1), file)
        os.close(file)
    received = with_files(worker, 40)
    assert [type(message) for message, _ in received] == [StopWork, MapRing] * 20
    for message, file in received:
        if isinstance(message, MapRing):
            assert file is not None
            assert os.pread(file, 1, 0) == bytes([message.ring])
            assert not os.get_inheritable(file)
            os.close(file)
        else:
            assert file is None


def test_no_file_stays_open_when_a_link_closes() -> None:
    before = len(os.listdir("/proc/self/fd"))
    front, theirs = link_pair()
    worker = worker_end(theirs.detach())
    file = os.memfd_create("ring")
    for ring in range(200):  # more than the socket takes before somebody reads
        front.send(MapRing(ring, "x" * 4000, 1), file)
    assert front.unsent > 0
    os.close(file)
    worker.wait(LIMIT_S)
    front.close()
    worker.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_sending_never_waits_for_a_reader_that_sleeps(ends: tuple[Link, Link]) -> None:
    front, worker = ends
    sent = [WorkerNote("info", str(index), {"what": "x" * 4000}) for index in range(500)]
    for message in sent:
        worker.send(message)
    assert worker.unsent > 0
    heard: list[object] = []

    def complete() -> bool:
        heard.extend(message for message, _ in front.receive())
        worker.flush()
        return len(heard) >= len(sent)

    until(complete, LIMIT_S, pause_s=0)
    assert heard == sent
    assert worker.flush(LIMIT_S)


def test_a_reader_that_never_reads_is_given_up(monkeypatch: pytest.MonkeyPatch, ends: tuple[Link, Link]) -> None:
    monkeypatch.setattr(worker_pipe, "OUTBOX_BYTES", 1 << 20)

    def fill() -> None:
        for _ in range(2000):
            ends[0].send(CheckStyle("a", "x" * 4000))

    with pytest.raises(LinkClosed, match="stuck"):
        fill()


def test_a_message_that_is_too_long_is_refused_by_its_sender(ends: tuple[Link, Link]) -> None:
    facts = {f"{index}": "x" * 200_000 for index in range(16)}
    with pytest.raises(ServerError, match="at most"):
        ends[1].send(WorkerNote("info", "long", facts))
