"""Messages that are sound by themselves and wrong where they are: out of order, another's, of the past, in the ring."""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from impasto.server.protocol import codec
from impasto.server.protocol.messages import (
    AttachRing,
    Cancel,
    Cancelled,
    CloseRing,
    Done,
    Failed,
    Goodbye,
    Hello,
    Join,
    Joined,
    MattePicture,
    OpenRing,
    Ping,
    Pong,
    Rejected,
    RingOffered,
    RingReady,
    Slot,
    Welcome,
)
from impasto.server.ring import map_segment
from tests.compat.samples import CLIENTS
from tests.server.hostile.house import House, answer_to, assert_discreet, error_in, goes_on, heard, house
from tests.server.served import PIXELS, Raw, request_of, until

SOUND = {name: message for name, message in CLIENTS.items() if "." not in name}
ON_DATA = ("join", "submit", "submit_shot")


@pytest.fixture(scope="module")
def running() -> Iterator[House]:
    with house() as found:
        yield found


@pytest.fixture(scope="module")
def bystander(running: House) -> Iterator[Raw]:
    with Raw(running.folder, hello=True, lane="batch") as raw:
        raw.open_ring()
        yield raw


@pytest.fixture
def victim(running: House, bystander: Raw) -> Iterator[Raw]:
    """A client with a ring; whatever a test did with it, it and another are served afterwards."""
    with Raw(running.folder, hello=True) as raw:
        raw.open_ring()
        yield raw
        goes_on(running, bystander, raw)


@pytest.fixture
def other(running: House) -> Iterator[Raw]:
    with Raw(running.folder, hello=True) as raw:
        raw.open_ring()
        yield raw


def new_id() -> bytes:
    return secrets.token_bytes(16)


def refused(client: Raw, request: Any, *payload: bytes) -> Any:
    """The error by which a request on data fails."""
    client.send(client.data, request, *payload)
    message, _ = answer_to(client, request.id)
    assert isinstance(message, Failed), message
    assert_discreet(message.error, codec.encode(request))
    return message.error


@pytest.mark.parametrize("name", sorted(SOUND.keys() - {"hello"}))
def test_nothing_is_taken_before_hello_and_join(running: House, bystander: Raw, name: str) -> None:
    with Raw(running.folder) as stranger:
        line = stranger.data if name in ON_DATA else stranger.control
        stranger.send(line, SOUND[name])
        rejected = stranger.hear(Rejected, line)
        assert rejected.error.code == "invalid_request"
        assert_discreet(rejected.error, codec.encode(SOUND[name]))
        stranger.greet()
        goes_on(running, bystander, stranger)


@pytest.mark.parametrize("name", sorted(SOUND))
def test_every_message_has_its_socket(victim: Raw, name: str) -> None:
    line = victim.control if name in ON_DATA else victim.data
    victim.send(line, SOUND[name])
    message, _ = heard(victim, line, lambda message: not isinstance(message, Pong))
    assert "socket" in error_in(message).message


def test_a_request_before_join_is_refused_though_hello_was_said(running: House, bystander: Raw) -> None:
    with Raw(running.folder) as half:
        welcome = half.ask(Hello("half", 1, 0, os.getpid()), Welcome)
        half.send(half.data, request_of("echo", PIXELS), PIXELS.tobytes())
        assert "Join" in half.hear(Rejected, half.data).error.message
        half.welcome = welcome
        half.send(half.data, Join(welcome.session))
        half.hear(Joined, half.data)
        goes_on(running, bystander, half)


def test_hello_is_said_once(victim: Raw) -> None:
    for resume in (None, new_id(), victim.welcome.session if victim.welcome else b""):
        rejected = victim.ask(Hello("again", 1, 0, 1, resume=resume), Rejected)
        assert "second" in rejected.error.message


def test_a_session_that_is_not_there_cannot_be_joined(running: House, victim: Raw, other: Raw) -> None:
    assert victim.welcome is not None
    assert other.welcome is not None
    dead = Raw(running.folder, hello=True)
    assert dead.welcome is not None
    gone = dead.welcome.session
    dead.send(dead.control, Goodbye())
    until(lambda: gone_from(victim, dead))
    for session in (gone, bytes(16), new_id()):
        with Raw(running.folder) as stranger:
            stranger.send(stranger.data, Join(session))
            assert "not there" in stranger.hear(Rejected, stranger.data).error.message
        victim.send(victim.data, Join(session))
        message = victim.hear(Rejected, victim.data)
        assert "one session" in message.error.message
    victim.send(victim.data, Join(other.welcome.session))
    assert "one session" in victim.hear(Rejected, victim.data).error.message
    victim.send(victim.data, Join(victim.welcome.session))
    victim.hear(Joined, victim.data)
    dead.welcome = None
    dead.__exit__()


def gone_from(watching: Raw, dead: Raw) -> bool:
    dead.send(dead.control, Ping(1))
    message, _ = heard(dead, dead.control, lambda message: True)
    return isinstance(message, Rejected)


def test_only_what_runs_is_taken_back_and_only_by_its_owner(victim: Raw, other: Raw) -> None:
    finished = victim.submit("echo")
    assert isinstance(answer_to(victim, finished)[0], Done)
    running = victim.submit("delay-400ms")
    until(lambda: victim.status().running)
    other.send(other.control, Cancel(running))
    for id in (finished, new_id(), bytes(16)):
        victim.send(victim.control, Cancel(id))
    assert victim.ask(Ping(5), Pong).token in (0, 5)
    assert other.ask(Ping(5), Pong).token in (0, 5)
    assert victim.status().running
    assert not victim.data.poll(0), "a cancel of nothing was answered"
    for _ in range(3):
        victim.send(victim.control, Cancel(running))
    answer, _ = answer_to(victim, running)
    assert isinstance(answer, Cancelled)
    assert victim.ask(Ping(6), Pong)
    assert not victim.data.poll(50), "a request had two terminal messages"


def test_an_id_names_one_request(victim: Raw, other: Raw) -> None:
    first = request_of("delay-400ms", PIXELS, slot=victim.slot(1))
    victim.send(victim.data, first)
    until(lambda: victim.status().running)
    assert "new id" in refused(victim, replace(first, frame=5)).message
    stolen = replace(first, slot=other.slot(1))
    assert refused(other, stolen).code in ("busy", "invalid_request")
    assert isinstance(answer_to(victim, first.id)[0], Done)
    assert "new id" in refused(victim, replace(first, frame=5)).message
    other.send(other.data, stolen)
    assert isinstance(answer_to(other, stolen.id)[0], Done), "an id of another's past is nobody's"


def test_a_pair_has_one_request_and_its_generations_rise(victim: Raw, other: Raw) -> None:
    assert victim.ring is not None
    assert other.ring is not None
    ring = victim.ring.ring
    victim.generation = 6
    running = victim.submit("delay-50ms", slot=victim.slot(1))
    for slot, field in (
        (Slot(ring, 1, 8), "slot.pair"),
        (Slot(ring, 1, 7), "slot.pair"),
        (Slot(ring, 3, 1), "slot.pair"),
        (Slot(ring, 63, 1), "slot.pair"),
        (Slot(ring + 1000, 0, 1), "slot"),
        (Slot(other.ring.ring, 0, 1), "slot"),
        (Slot((1 << 63) - 1, 0, 1), "slot"),
    ):
        assert refused(victim, request_of("echo", PIXELS, slot=slot)).field == field
    assert isinstance(answer_to(victim, running)[0], Done)
    for generation in (7, 6, 0):
        error = refused(victim, request_of("echo", PIXELS, slot=Slot(ring, 1, generation)))
        assert error.field == "slot.generation"
    victim.generation = 1 << 40


def test_the_highest_generation_is_the_pairs_last(victim: Raw) -> None:
    assert victim.ring is not None
    highest = (1 << 63) - 1
    victim.write(2, PIXELS)
    done = victim.frame(slot=Slot(victim.ring.ring, 2, highest))
    assert isinstance(done, Done)
    assert (
        refused(victim, request_of("echo", PIXELS, slot=Slot(victim.ring.ring, 2, highest))).field == "slot.generation"
    )


def test_what_is_in_a_slot_fits_into_it(victim: Raw) -> None:
    """Rows 26 and 34 in the ring, whose slots are 64 KiB."""
    tall = request_of("echo", np.zeros((129, 128, 4), np.uint8), slot=victim.slot(1))
    assert refused(victim, tall).field == "picture"
    for matte, field in (
        (MattePicture("uint8", 8, 200), "matte.offset"),  # no multiple of 64
        (MattePicture("uint8", 8, 128), "matte.offset"),  # in the plate
        (MattePicture("uint8", 8, 65_536 - 40), "matte.offset"),
        (MattePicture("uint8", 8, 65_536), "matte.offset"),
        (MattePicture("uint8", 8, 1 << 62), "matte.offset"),
        (MattePicture("uint8", 8, (1 << 63) - 64), "matte.offset"),
        (MattePicture("float32", 33, 192), "matte.row_stride"),
        (MattePicture("uint8", 1 << 29, 192), "matte.row_stride"),
    ):
        assert refused(victim, request_of("echo", PIXELS, slot=victim.slot(1), matte=matte)).field == field
    slot = victim.slot(1)
    assert refused(victim, request_of("echo", PIXELS, slot=slot), PIXELS.tobytes()).field == "slot"
    assert refused(victim, request_of("echo", PIXELS, slot=slot, crc32=1)).field == "crc32"


def test_a_ring_is_proven_by_its_nonce_alone(running: House, bystander: Raw, other: Raw) -> None:
    with Raw(running.folder, hello=True) as raw:
        for trick in ("zeros", "another", "written over", "of another client", "twice"):
            offer = raw.ask(OpenRing(new_id(), 4096, 1), RingOffered)
            memory = map_segment(offer.path, offer.segment_bytes)
            nonce = memory[offer.nonce_offset : offer.nonce_offset + 16]
            number = offer.ring
            if trick == "written over":  # the server remembers it; what stands in the memory proves nothing
                memory[offer.nonce_offset : offer.nonce_offset + 16] = bytes(16)
            if trick == "of another client":
                assert other.ring is not None
                number = other.ring.ring
            shown = nonce if trick in ("of another client", "twice") else new_id() if trick == "another" else bytes(16)
            if trick == "twice":
                raw.ask(AttachRing(new_id(), number, shown), RingReady)
            failed = raw.ask(AttachRing(new_id(), number, shown), Failed)
            assert_discreet(failed.error, [])
            assert offer.path not in failed.error.message
            del memory
        goes_on(running, bystander, other, raw)


def test_a_ring_of_absurd_size_is_refused_with_a_way_out(victim: Raw) -> None:
    for slot_bytes, pairs in ((2 << 30, 64), ((1 << 31) - 1, 64)):
        failed = victim.ask(OpenRing(new_id(), slot_bytes, pairs), Failed)
        assert failed.error.code == "busy"
        assert "in the message" in failed.error.message
        assert_discreet(failed.error, [])
    for slot_bytes, pairs in ((0, 1), (-1, 1), ((2 << 30) + 1, 1), (1 << 62, 1), (4096, 0), (4096, 65)):
        victim.control.send_multipart(
            [CODED, msgpack.packb({"type": "open_ring", "id": new_id(), "slot_bytes": slot_bytes, "pairs": pairs})]
        )
        message, _ = heard(victim, victim.control, lambda message: not isinstance(message, Pong))
        assert error_in(message).field in ("slot_bytes", "pairs")


CODED = codec.encode(Ping(0))[0]


def test_rings_that_nobody_attaches_do_not_add_up(running: House, victim: Raw) -> None:
    before = running.files()
    for _ in range(100):
        victim.send(victim.control, OpenRing(new_id(), 4096, 1))
    offers = [victim.hear(RingOffered, victim.control) for _ in range(100)]
    victim.send(victim.control, CloseRing(offers[-1].ring))
    victim.send(victim.control, CloseRing(offers[0].ring))
    victim.send(victim.control, CloseRing((1 << 63) - 1))
    until(lambda: running.files() == before)


def test_a_ring_that_is_closed_under_a_request_stays_until_its_answer(running: House, bystander: Raw) -> None:
    with Raw(running.folder, hello=True) as raw:
        offer = raw.open_ring()
        id = raw.submit("delay-400ms", slot=raw.slot(0))
        until(lambda: raw.status().running)
        raw.send(raw.control, CloseRing(offer.ring))
        raw.send(raw.control, CloseRing(offer.ring))
        assert isinstance(answer_to(raw, id)[0], Done)
        assert refused(raw, request_of("echo", PIXELS, slot=raw.slot(0))).field == "slot"
        raw.ring = None
        goes_on(running, bystander, raw)


def test_nobody_can_shorten_a_ring(victim: Raw) -> None:
    """A peer that could would have the worker die of SIGBUS."""
    assert victim.ring is not None
    with open(victim.ring.path, "r+b") as file:
        for size in (0, 4096, victim.ring.segment_bytes * 2):
            with pytest.raises(PermissionError):
                file.truncate(size)


def test_a_ring_that_is_written_over_meanwhile_harms_nobody(victim: Raw) -> None:
    """All of it, page 0 included, again and again while frames are painted in it."""
    assert victim.ring is not None
    ids = [victim.submit("delay-50ms", slot=victim.slot(pair)) for pair in range(3)]
    for byte in range(40):
        victim.memory[:] = bytes([byte]) * len(victim.memory)
    for _ in ids:
        message, _ = victim.answer()
        assert isinstance(message, Done)


@pytest.mark.parametrize("pid", [0, 1, (1 << 31) - 1, 1 << 31])
def test_a_client_that_lies_about_its_process_and_leaves_takes_nothing_with_it(
    running: House, bystander: Raw, pid: int
) -> None:
    raw = Raw(running.folder, hello=True, pid=pid)
    raw.submit("delay-400ms")
    raw.context.destroy(linger=0)
    until(lambda: bystander.status().running == 0)
    goes_on(running, bystander)


def test_after_goodbye_there_is_no_session(running: House, bystander: Raw) -> None:
    with Raw(running.folder, hello=True) as raw:
        raw.submit("delay-400ms")
        until(lambda: raw.status().running)
        raw.send(raw.control, Goodbye())
        raw.send(raw.control, Goodbye())
        assert "Hello" in raw.hear(Rejected, raw.control).error.message
        raw.send(raw.data, request_of("echo", PIXELS), PIXELS.tobytes())
        message, _ = heard(raw, raw.data, lambda message: isinstance(message, Rejected))
        assert "Join" in message.error.message
        raw.greet()
        goes_on(running, bystander, raw)


def test_who_asks_and_never_reads_loses_the_session_and_nobody_else_waits(running: House, bystander: Raw) -> None:
    lost = bystander.status().counters["sessions_lost"]
    with Raw(running.folder, hello=True) as deaf:
        deaf.control.sndtimeo = 100
        with contextlib.suppress(zmq.Again):
            for token in range(100_000):
                deaf.send(deaf.control, Ping(token))
                if token % 2_000 == 1_999 and bystander.status().counters["sessions_lost"] > lost:
                    break
        until(lambda: bystander.status().counters["sessions_lost"] > lost)
        goes_on(running, bystander)
        deaf.welcome = None


def chunks() -> Iterator[tuple[str, bytes]]:
    """Row 30: packed samples that are not what they say."""
    size = PIXELS.nbytes
    blosc2 = pytest.importorskip("blosc2")

    def packed(data: bytes, **more: Any) -> bytes:
        facts = {
            "codec": blosc2.Codec.LZ4,
            "typesize": 1,
            "nthreads": 1,
            "clevel": 5,
            "filters": [blosc2.Filter.SHUFFLE],
            "filters_meta": [0],
        }
        return bytes(blosc2.compress2(data, **(facts | more)))

    good = packed(bytes(range(192)))
    yield "more than was said", packed(bytes(1 << 20))
    yield "less than was said", packed(bytes(size - 1))
    yield "2 GiB of zeros", struct.pack("<BBBBiii", 5, 1, 0x25, 1, (1 << 31) - 1, 4 << 20, 32) + bytes(15) + b"\x10"
    yield "a negative size", struct.pack("<BBBBiii", 5, 1, 0x25, 1, -1, size, 32) + bytes(15) + b"\x10"
    yield "what was in the memory", struct.pack("<BBBBiii", 5, 1, 0x25, 1, size, size, 32) + bytes(15) + b"\x40"
    yield "cut off", good[:-1]
    yield "a header alone", good[:32]
    yield "half a header", good[:16]
    yield "one byte", b"\x05"
    yield "two chunks", good[:100] * 2
    yield "zstd", packed(PIXELS.tobytes(), codec=blosc2.Codec.ZSTD)
    yield "a zstd frame", b"\x28\xb5\x2f\xfd\xa4\xff\xff\xff\x7f\x01\x00\x00"
    yield "a bit flipped", good[:40] + bytes([good[40] ^ 0xFF]) + good[41:]
    yield "raw samples", PIXELS.tobytes()


def test_packed_samples_are_what_they_say_or_are_refused(running: House, bystander: Raw) -> None:
    with Raw(running.folder, hello=True, encodings=("blosc2", "raw")) as raw:
        assert raw.welcome is not None
        for name, chunk in chunks():
            request = request_of("echo", PIXELS, encoding="blosc2")
            raw.send(raw.data, request, chunk)
            message, parts = answer_to(raw, request.id)
            if name == "a bit flipped" and isinstance(message, Done):
                assert len(parts[0]) == PIXELS.nbytes  # other samples, and no harm: a CRC-32 is there to tell
                continue
            assert isinstance(message, Failed), name
            assert message.error.field in ("encoding", "picture"), (name, message)
            assert_discreet(message.error, [])
        goes_on(running, bystander, raw)


def test_it_was_one_server_all_the_time(running: House, bystander: Raw) -> None:
    assert [each.restarts for each in bystander.status().devices] == [0]
    assert running.complaints() == ""
    assert not any(b'"bug"' in line for line in running.log_lines())
