"""The front through real sockets, with the fake worker."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest

from impasto.core.errors import ServerError
from impasto.server.front.outbox import outgoing
from impasto.server.front.server import serve
from impasto.server.protocol import codec
from impasto.server.protocol.messages import (
    AttachRing,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Hello,
    Join,
    ListStyles,
    MattePicture,
    OpenRing,
    Ping,
    Pong,
    Rejected,
    Slot,
    StyleList,
    StylesChanged,
    Welcome,
)
from tests.server.fake_worker import write_style
from tests.server.running_server import PIXELS, Raw, Server, request_of, served, until

LARGE = np.zeros((300, 300, 4), np.uint8)
"""Copied by a thread of the front."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served(("echo", "invert", "delay-50ms", "delay-300ms", "fail", "oom", "bug", "notes")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Raw]:
    with Raw(server.folder, hello=True) as raw:
        yield raw


def id16() -> bytes:
    return secrets.token_bytes(16)


def test_a_frame_in_the_ring_comes_back_in_the_ring(client: Raw) -> None:
    client.open_ring()
    client.write(1, PIXELS)
    done = client.frame("invert", slot=client.slot(1))
    assert isinstance(done, Done)
    assert not done.inline
    np.testing.assert_array_equal(client.read(1, PIXELS), 255 - PIXELS)
    assert {"queue", "network", "server"} <= set(done.seconds)


def test_a_frame_in_the_message_comes_back_in_the_message(client: Raw) -> None:
    pixels = np.linspace(0, 1, 300 * 200 * 4, dtype=np.float32).reshape(200, 300, 4)
    for _ in range(3):
        client.submit("invert", pixels=pixels)
        done, parts = client.answer()
        assert done.inline
        assert done.encoding == "raw"
        np.testing.assert_array_equal(np.frombuffer(parts[0], np.float32).reshape(pixels.shape), 1 - pixels)


def test_a_matte_may_come_as_part_3(client: Raw) -> None:
    matte = MattePicture("uint8", 8)
    client.submit(payload=(PIXELS.tobytes(), bytes(48)), matte=matte)
    assert isinstance(client.answer()[0], Done)


def test_samples_that_were_damaged_on_their_way_are_refused(client: Raw) -> None:
    failed = client.frame(crc32=1)
    assert failed.error.code == "invalid_request"
    assert failed.error.field == "crc32"
    client.still_served()


def test_nothing_is_taken_before_hello(server: Server) -> None:
    with Raw(server.folder) as raw:
        rejected = raw.ask(Ping(1), Rejected)
        assert "Hello" in rejected.error.message
        raw.send(raw.data, request_of("echo", PIXELS), PIXELS.tobytes())
        assert "Join" in raw.hear(Rejected, raw.data).error.message
        raw.send(raw.data, Join(id16()))
        assert "say Hello" in raw.hear(Rejected, raw.data).error.message
        raw.greet()
        raw.still_served()


def test_a_second_hello_is_refused_and_the_session_goes_on(client: Raw) -> None:
    assert "second" in client.ask(Hello("again", 1, 0, 1), Rejected).error.message
    client.still_served()


def test_a_message_on_the_wrong_socket_is_refused(client: Raw) -> None:
    request = request_of("echo", PIXELS)
    client.send(client.control, request, PIXELS.tobytes())
    failed = client.hear(Failed, client.control)
    assert failed.id == request.id
    assert "data socket" in failed.error.message
    client.still_served()


def test_another_major_version_is_told_what_to_upgrade(server: Server) -> None:
    with Raw(server.folder) as raw:
        assert raw.ask(Hello("old", 2, 0, 1), Rejected).error.code == "incompatible"


GOOD = codec.encode(Ping(7))
WIRE = {
    "nothing": [b""],
    "no header": [GOOD[0]],
    "wrong magic": [b"HTTP/1.1", GOOD[1]],
    "another major": [b"IMPA\x09\x00\x00\x00", GOOD[1]],
    "a long header": [GOOD[0], bytes(65537)],
    "17 parts": [*GOOD, *[b"x"] * 15],
    "5000 parts": [*GOOD, *[b"x"] * 4998],
    "cut off": [GOOD[0], GOOD[1][:-1]],
    "trailing": [GOOD[0], GOOD[1] + b"\x00"],
    "reserved byte": [GOOD[0], b"\xc1"],
    "deep": [GOOD[0], b"\x91" * 60_000],
    "empty maps": [GOOD[0], b"\x9f" + b"\x80" * 15],
    "claims 4 GiB": [GOOD[0], b"\xdf\xff\xff\xff\xff"],
    "bytes as key": [GOOD[0], msgpack.packb({b"type": "ping"})],
    "twice a key": [GOOD[0], b"\x82\xa4type\xa4ping\xa4type\xa4ping"],
    "unknown": [GOOD[0], msgpack.packb({"type": "format_disk"})],
    "a parameter too few": [GOOD[0], msgpack.packb({"type": "ping"})],
    "a boolean": [GOOD[0], msgpack.packb({"type": "ping", "token": True})],
    "negative": [GOOD[0], msgpack.packb({"type": "ping", "token": -1})],
    "2^64": [GOOD[0], msgpack.packb({"type": "ping", "token": 2**64 - 1})],
    "a part too many": [*GOOD, b"x"],
}


@pytest.mark.parametrize("parts", WIRE.values(), ids=WIRE.keys())
def test_whatever_comes_is_answered_and_the_next_request_is_served(client: Raw, parts: list[bytes]) -> None:
    client.control.send_multipart(parts)
    assert isinstance(client.hear(Rejected, client.control), Rejected)
    assert client.ask(Ping(3), Pong).token == 3
    client.data.send_multipart(parts)
    assert isinstance(client.hear(Rejected, client.data), Rejected)
    client.still_served()


def broken(**more: object) -> bytes:
    """The header of a frame request with these fields put over it."""
    plain = msgpack.unpackb(codec.encode(request_of("echo", PIXELS))[1])
    for name, value in more.items():
        owner, _, field = name.rpartition("__")
        (plain[owner] if owner else plain)[field] = value
    return msgpack.packb(plain)


FIELDS = {
    "NaN": {"look__params": {"strength": float("nan")}},
    "a parameter beyond its range": {"look__params": {"strength": 7.0}},
    "an unknown parameter": {"look__params": {"strenth": 0.5}},
    "an overflow": {"picture__width": 2**31},
    "zero": {"picture__height": 0},
    "channels": {"picture__channels": 17},
    "object": {"picture__dtype": "object"},
    "a short row": {"picture__row_stride": 3},
    "more samples than came": {"picture__height": 7},
    "too many pixels": {"picture__width": 32768, "picture__height": 32768, "picture__row_stride": 4 * 32768},
    "an encoding that nobody agreed on": {"encoding": "blosc2"},
    "an unknown style": {"look__style": "ecko"},
    "a style's path that is not there": {"look__style": "/nowhere/x.safetensors"},
    "a digest that differs": {"look__sha256": "0" * 64},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS.keys())
def test_a_bad_field_fails_the_request_that_bears_it(client: Raw, fields: dict[str, object]) -> None:
    header = broken(**fields)
    client.data.send_multipart([GOOD[0], header, PIXELS.tobytes()])
    failed, _ = client.answer()
    assert isinstance(failed, Failed)
    assert failed.id == msgpack.unpackb(header)["id"]
    assert not failed.error.retryable
    assert failed.error.code in ("invalid_request", "usage", "unknown_name", "style")
    client.still_served()


def test_a_pair_is_the_servers_until_its_answer(client: Raw) -> None:
    offer = client.open_ring()
    first = client.submit("delay-50ms", slot=client.slot(0))
    client.submit(slot=client.slot(0))
    refused, _ = client.answer()
    assert (refused.error.code, refused.error.field) == ("invalid_request", "slot.pair")
    assert client.answer()[0].id == first
    for slot, field in (
        (Slot(offer.ring, 0, 1), "slot.generation"),
        (Slot(offer.ring, 3, 99), "slot.pair"),
        (Slot(offer.ring + 1000, 0, 99), "slot"),
    ):
        failed = client.frame(slot=slot)
        assert failed.error.field == field
    assert isinstance(client.frame(slot=client.slot(0)), Done)


def test_a_wrong_nonce_is_no_proof(client: Raw) -> None:
    offer = client.ask(OpenRing(id16(), 4096, 1), object)
    failed = client.ask(AttachRing(id16(), offer.ring, bytes(16)), Failed)
    assert "in the message" in failed.error.message
    assert isinstance(client.frame(slot=Slot(offer.ring, 0, 1)), Failed)
    client.still_served()


def test_a_ring_that_is_too_large_is_refused_with_a_hint(client: Raw) -> None:
    failed = client.ask(OpenRing(id16(), 2 << 30, 64), Failed)
    assert failed.error.code == "busy"
    assert "in the message" in failed.error.message
    assert "/proc" not in failed.error.message
    client.still_served()


def test_a_new_ring_takes_the_place_of_the_old(client: Raw) -> None:
    client.open_ring()
    pending = client.submit("delay-50ms", slot=client.slot(0))
    old = client.slot(1)
    client.open_ring(1 << 17)
    assert client.answer()[0].id == pending
    assert client.frame(slot=old).error.field == "slot"
    assert isinstance(client.frame(slot=client.slot(0)), Done)


def test_the_same_request_attaches_to_the_one_that_runs(client: Raw) -> None:
    client.open_ring()
    request = request_of("delay-50ms", PIXELS, slot=client.slot(0))
    for _ in range(3):
        client.send(client.data, request)
    done, _ = client.answer()
    assert isinstance(done, Done)
    client.send(client.data, request)
    assert client.answer()[0] == done  # said again, not painted again
    client.send(client.data, replace(request, frame=5))
    assert "new id" in client.answer()[0].error.message
    assert isinstance(client.frame(slot=client.slot(0)), Done)
    client.send(client.data, request)
    gone, _ = client.answer()
    assert gone.error.retryable
    assert "gone" in gone.error.message


def test_another_request_under_an_id_that_is_under_way_does_not_end_it_twice(client: Raw) -> None:
    request = request_of("delay-300ms", PIXELS)
    client.send(client.data, request, PIXELS.tobytes())
    client.send(client.data, replace(request, frame=7), PIXELS.tobytes())
    first, _ = client.answer()
    assert isinstance(first, Rejected)
    assert "same request" in first.error.message
    assert isinstance(client.answer()[0], Done)
    client.still_served()


def test_the_pixels_of_a_message_are_not_kept(client: Raw) -> None:
    request = request_of("echo", PIXELS)
    client.send(client.data, request, PIXELS.tobytes())
    assert isinstance(client.answer()[0], Done)
    client.send(client.data, request, PIXELS.tobytes())
    assert "gone" in client.answer()[0].error.message


def test_a_request_can_be_taken_back(client: Raw) -> None:
    running = client.submit("delay-300ms")
    until(lambda: client.status().running)
    client.send(client.control, Cancel(running))
    cancelled, _ = client.answer()
    assert isinstance(cancelled, Cancelled)
    assert (cancelled.id, cancelled.reason) == (running, "asked")
    client.send(client.control, Cancel(running))
    client.still_served()


def test_nobody_takes_back_the_request_of_another(server: Server, client: Raw) -> None:
    with Raw(server.folder, hello=True) as other:
        id = client.submit("delay-50ms")
        other.send(other.control, Cancel(id))
        assert isinstance(client.answer()[0], Done)


def test_more_than_the_credit_is_refused(client: Raw) -> None:
    assert client.welcome is not None
    count = client.welcome.credit_frames + 1
    for _ in range(count):
        client.submit("delay-50ms")
    answers = [client.answer()[0] for _ in range(count)]
    assert sorted(type(answer).TYPE for answer in answers) == ["done"] * (count - 1) + ["failed"]
    client.still_served()


@pytest.mark.parametrize(("style", "code"), [("fail", "style"), ("oom", "out_of_memory"), ("bug", None)])
def test_an_error_of_the_worker_fails_one_request(client: Raw, style: str, code: str | None) -> None:
    failed = client.frame(style)
    assert isinstance(failed, Failed)
    assert code is None or failed.error.code == code
    assert "Traceback" not in failed.error.message
    client.still_served()


def test_the_status_says_what_is_true(client: Raw) -> None:
    client.still_served()
    status = client.status()
    assert status.health == "ok"
    assert status.frames > 0
    assert status.fps > 0
    assert [each.device for each in status.devices] == ["cpu"]
    assert any(each.client == "test" for each in status.clients)
    assert status.rss_bytes > 1 << 20
    assert len(status.endpoints) == 2


def test_the_library_is_listed_and_its_changes_are_told(server: Server, client: Raw) -> None:
    listed = client.ask(ListStyles(id16()), StyleList)
    assert "echo" in [style.name for style in listed.styles]
    assert listed.total >= len(listed.styles)
    write_style(server.settings.styles[0], "fresh")
    assert client.hear(StylesChanged, client.control).revision != listed.revision
    assert isinstance(client.frame("fresh"), Done)


def test_a_session_goes_on_over_a_new_connection(server: Server) -> None:
    with Raw(server.folder, hello=True) as lost:
        assert lost.welcome is not None
        request = request_of("delay-300ms", PIXELS)
        lost.send(lost.data, request, PIXELS.tobytes())
        until(lambda: lost.status().running)
        with Raw(server.folder) as back:
            lost.context.destroy(linger=0)
            welcome = back.ask(Hello("test", 1, 0, 1 << 30, resume=lost.welcome.session), Welcome)
            assert welcome.resumed
            assert welcome.session == lost.welcome.session
            back.send(back.data, Join(welcome.session))
            back.hear_parts(back.data)
            back.send(back.data, request, PIXELS.tobytes())
            done, parts = back.answer()
            assert (done.id, bytes(parts[0])) == (request.id, PIXELS.tobytes())
        lost.welcome = None


def test_a_session_of_another_boot_is_a_new_session(server: Server) -> None:
    with Raw(server.folder) as raw:
        assert not raw.greet(resume=id16()).resumed
        raw.still_served()


def test_a_bug_is_answered_by_its_mark_in_the_log(server: Server, client: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_bytes(*_: object) -> int:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("impasto.server.front.frames.pixels.slot_bytes_needed", broken_bytes)
    failed = client.frame()
    monkeypatch.undo()
    assert failed.error.code == "server"
    assert "inside" not in failed.error.message
    assert failed.error.incident in server.log()
    client.still_served()


def test_a_frame_that_cannot_be_sent_to_its_worker_once_it_is_copied_fails(
    server: Server, client: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("impasto.server.front.frames.PendingFrame._send_to_worker", broken)
    failed = client.frame(pixels=LARGE)
    monkeypatch.undo()
    assert failed.error.incident in server.log()
    client.still_served()


def test_a_result_that_no_message_can_carry_fails_and_keeps_no_memory(
    client: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory() -> int:
        return sum("memfd:impasto" in str(each) for each in map(link_of, Path("/proc/self/fd").iterdir()))

    def link_of(path: Path) -> str:
        return os.readlink(path) if path.is_symlink() else ""

    def too_long(message: object, samples: object = None, *_: object) -> object:
        if samples is not None:
            raise codec.TooLong("too many notes")
        return outgoing(message)  # type: ignore[arg-type]

    assert isinstance(client.frame(pixels=LARGE), Done)
    before = memory()
    monkeypatch.setattr("impasto.server.front.requests.outgoing", too_long)
    for _ in range(8):
        assert isinstance(client.frame(pixels=LARGE), Failed)
    monkeypatch.undo()
    assert isinstance(client.frame(pixels=LARGE), Done)
    # A segment has two files; another one is opened where ZeroMQ has not let go of the last result yet.
    assert memory() <= before + 4


def test_a_second_server_names_the_first(server: Server) -> None:
    with pytest.raises(ServerError, match="already runs"):
        serve(server.settings)


def test_the_sockets_are_the_users_own(server: Server) -> None:
    assert server.folder.stat().st_mode & 0o777 == 0o700
    for name in ("control.sock", "data.sock"):
        assert (server.folder / name).stat().st_mode & 0o777 == 0o600
