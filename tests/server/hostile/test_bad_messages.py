"""Bad messages over real sockets: each is answered by its error, costs no other client anything and leaves nothing.

That every malformed message is refused is tested where it is refused, in tests/server/protocol. Here a few of each kind
show that a refusal reaches the client and that the server serves on.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no hints
import numpy as np
import pytest
import zmq

from impasto.server.protocol import codec
from impasto.server.protocol.messages import Done, Failed, Hello, Join, Joined, OpenRing, Ping, Pong, Rejected, Welcome
from tests.compat.samples import CLIENTS
from tests.server.hostile.checks import (
    assert_discreet,
    assert_served,
    error_in,
    frame_is_right,
    healthy_server,
    heard,
)
from tests.server.running_server import Sandbox
from tests.server.wire_client import PING, PIXELS, PREAMBLE, WAIT_S, WireClient, request_of
from tests.waiting import until

MOST_BYTES = 32 << 20
"""Of one picture; the server cuts a connection over which more comes in one part."""
GROWTH_BYTES = 20 << 20
FUZZED = 2_000
FUZZED_AT_ONCE = 50
SAMPLES = PIXELS.tobytes()
NAMES: Mapping[str, str] = {
    "a newline": 'a\n{"level":"error","event":"forged"}',
    "a carriage return": "a\r[forged]",
    "NUL": "a\0b",
    "an escape": "a\x1b[2Jb",
    "a turn of direction": "a\u202egnp.exe",
    "a line separator": "a\u2028b",
    "a C1 control": "a\x9bb",
}


@dataclass
class Before:
    """The server, a client that does nothing wrong, and what the server held before anything was done."""

    sandbox: Sandbox
    bystander: WireClient
    rss_bytes: int
    files: Any


@pytest.fixture(scope="module")
def before() -> Iterator[Before]:
    with (
        healthy_server(limits={"raw_bytes": MOST_BYTES}) as sandbox,
        WireClient(sandbox.run, hello=True, lane="batch") as bystander,
    ):
        warm_up(sandbox)
        bystander.open_ring()
        assert_served(sandbox, bystander)
        yield Before(sandbox, bystander, sandbox.server.rss_bytes(), sandbox.server.open_files())


def warm_up(sandbox: Sandbox) -> None:
    """Let the server take what it takes once: threads, a segment for samples in messages, the library that unpacks."""
    with WireClient(sandbox.run, hello=True, encodings=("blosc2", "raw")) as first:
        first.open_ring()
        for _ in range(3):
            first.submit("delay-50ms")
        for _ in range(3):
            assert isinstance(first.answer()[0], Done)
        if "blosc2" in (first.welcome.encodings if first.welcome else ()):
            import blosc2  # type: ignore[import-untyped]  # ships no hints

            packed = blosc2.compress2(SAMPLES, codec=blosc2.Codec.LZ4, typesize=1, nthreads=1)
            first.send(first.data, request_of("echo", PIXELS, encoding="blosc2"), packed)
            first.answer()


@pytest.fixture
def victim(before: Before) -> Iterator[WireClient]:
    assert before.sandbox.server.alive, before.sandbox.server.complaints()
    with WireClient(before.sandbox.run, hello=True) as client:
        yield client


def header(**changes: Any) -> bytes:
    """The header of a sound frame request with changes at 'picture__width' and the like; `...` drops a field."""
    plain: dict[str, Any] = msgpack.unpackb(codec.encode(request_of("echo", PIXELS))[1])
    for path, value in changes.items():
        owner, _, field = path.rpartition("__")
        place = plain.setdefault(owner, {}) if owner else plain
        if value is ...:
            del place[field]
        else:
            place[field] = value
    return bytes(msgpack.packb(plain))


ENVELOPES: Mapping[str, tuple[bytes, ...]] = {
    "an empty message": (b"",),
    "no header": (PREAMBLE,),
    "another magic": (b"HTTP/1.1", PING),
    "a future major": (b"IMPA\x02\x00\0\0", PING),
    "a header that is too long": (PREAMBLE, bytes(65_537)),
    "5000 parts": (PREAMBLE, PING, *[b"x"] * 4_998),
    "5000 parts of a request": (PREAMBLE, header(), *[SAMPLES] * 4_998),
    "a header that is cut off": (PREAMBLE, PING[:-1]),
    "a byte behind the header": (PREAMBLE, PING + b"\0"),
    "60000 lists in each other": (PREAMBLE, b"\x91" * 60_000),
    "a map of 4 GiB": (PREAMBLE, b"\xdf\xff\xff\xff\xff"),
    "60000 empty maps": (PREAMBLE, b"\xdc\x01\x00" + (b"\xdc\x00\xf0" + b"\x80" * 240) * 256),
    "a key twice": (PREAMBLE, b"\x82\xa4type\xa4ping\xa4type\xa4ping"),
    "text that is no UTF-8": (PREAMBLE, b"\x82\xa4type\xa4ping\xa1x\xa2\xff\xfe"),
    "an unknown type": (PREAMBLE, msgpack.packb({"type": "format_disk"})),
    "a field too few": (PREAMBLE, msgpack.packb({"type": "ping"})),
    "a part behind a ping": (PREAMBLE, PING, b"x"),
}


@pytest.mark.parametrize("channel", ["control", "data"])
@pytest.mark.parametrize("parts", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_a_message_that_is_none_is_rejected_and_both_clients_are_served(
    before: Before, victim: WireClient, parts: tuple[bytes, ...], channel: str
) -> None:
    line = getattr(victim, channel)
    line.send_multipart(list(parts))
    message, _ = heard(victim, line, lambda message: not isinstance(message, Pong))
    error = error_in(message)
    assert_discreet(error, parts)
    assert error.code == ("incompatible" if parts[0][4:5] == b"\x02" else "invalid_request")
    assert not error.retryable
    assert_served(before.sandbox, before.bystander, victim)


REQUESTS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "a turn of direction": ({"look__style": NAMES["a turn of direction"]}, "invalid_request", "look.style"),
    "NaN": ({"look__params": {"stroke": float("nan")}}, "invalid_request", "look.params[stroke]"),
    "a parameter out of its range": ({"look__params": {"stroke": 4.5}}, "usage", ""),
    "an unknown parameter": ({"look__params": {"strenth": 0.5}}, "unknown_name", ""),
    "an overflow": ({"picture__width": 1 << 31}, "invalid_request", "picture.width"),
    "too many pixels": (
        {"picture__width": 32_768, "picture__height": 32_768, "picture__row_stride": 4 * 32_768},
        "invalid_request",
        "picture",
    ),
    "more samples than came": ({"picture__height": 7}, "invalid_request", "picture"),
    "rows that overlap": ({"picture__row_stride": 31}, "invalid_request", "picture.row_stride"),
    "samples of objects": ({"picture__dtype": "object"}, "invalid_request", "picture.dtype"),
    "a matte that was not sent": ({"matte": {"dtype": "uint8", "row_stride": 8}}, "invalid_request", "slot"),
    "another CRC-32": ({"crc32": 1}, "invalid_request", "crc32"),
    "an encoding that nobody agreed on": ({"encoding": "blosc2"}, "invalid_request", "encoding"),
    "an unknown style": ({"look__style": "ecko"}, "unknown_name", ""),
    "another digest": ({"look__sha256": "0" * 64}, "style", ""),
    "a device that is not there": ({"look__device": "cuda:63"}, "device", ""),
    **{
        f"the style '{path[:40]}'": ({"look__style": path}, "", "")
        for path in ("../echo", "/nowhere/x.safetensors", "x.pth", "/etc/passwd", "/dev/zero", "/proc/self/mem",
                     "/" + "a" * 3_980 + ".safetensors", "/{0.__class__}/%n%s.safetensors")
    },
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "field"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_with_something_wrong_fails_and_both_clients_are_served(
    before: Before, victim: WireClient, changes: dict[str, Any], code: str, field: str
) -> None:
    parts = (PREAMBLE, header(**changes), SAMPLES)
    victim.data.send_multipart(parts)
    failed, _ = victim.answer()
    assert isinstance(failed, Failed), failed
    assert failed.id == msgpack.unpackb(parts[1])["id"]
    assert_discreet(failed.error, parts)
    assert failed.error.code == code or not code, failed.error
    assert failed.error.field == field or not field, failed.error
    assert not failed.error.retryable
    assert_served(before.sandbox, before.bystander, victim)


@pytest.mark.parametrize(
    "changes",
    [{"look__params": {"strength": -0.0}}, {"picture__layout": "__reduce__"}],
    ids=["minus zero", "an unknown key"],
)
def test_an_odd_request_that_is_sound_is_painted(victim: WireClient, changes: dict[str, Any]) -> None:
    victim.data.send_multipart([PREAMBLE, header(**changes), SAMPLES])
    done, parts = victim.answer()
    assert isinstance(done, Done), done
    np.testing.assert_array_equal(np.frombuffer(parts[0], np.uint8), PIXELS.ravel())


def test_a_request_without_an_id_is_rejected(victim: WireClient) -> None:
    victim.data.send_multipart([PREAMBLE, header(id=...), SAMPLES])
    assert victim.hear(Rejected, victim.data).error.field == "id"
    victim.still_served()


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES.keys())
def test_a_name_never_makes_a_second_line_in_the_log(before: Before, text: str) -> None:
    """Refused names are one event each."""
    lines_before = len(refusals(before))
    with WireClient(before.sandbox.run) as stranger:
        for field in ("client", "host", "user"):
            facts = {"client": "a", "major": 1, "minor": 0, "pid": 1, field: text}
            stranger.control.send_multipart([PREAMBLE, msgpack.packb({"type": "hello", **facts})])
            message, _ = stranger.hear_parts(stranger.control)
            assert_discreet(error_in(message), [text.encode()])
            assert message.error.field == field
    written = until(lambda: len(lines := refusals(before)) >= lines_before + 3 and lines)
    assert len(written) == lines_before + 3
    assert_served(before.sandbox, before.bystander)


def refusals(before: Before) -> list[str]:
    """Lines of the log but for those that the tests before this one may still cause."""
    lines = before.sandbox.log().splitlines()
    return [line for line in lines if json.loads(line)["event"] not in ("frame", "session_over")]


def test_a_strange_name_that_is_allowed_stays_on_its_line(before: Before) -> None:
    name = '"},{"event":"forged"}\\n\\r %n {0} \u200f\u200b\ufeff\U000e0041' + "麦" * 50
    with WireClient(before.sandbox.run, hello=True, client=name, host=name, user=name) as stranger:
        assert_discreet(stranger.frame(look=replace(LOOK, style=name)).error, [name.encode()])
        assert_served(before.sandbox, stranger)
        clients = [each for each in stranger.status().clients if "forged" in each.client]
        assert len(clients) == 1
    lines = [json.loads(line) for line in before.sandbox.log().splitlines()]
    assert not any(line["event"] == "forged" for line in lines)
    assert any(line.get("client") == name for line in lines)


LOOK = CLIENTS["submit.least"].look  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["control", "data"])
def test_a_part_that_is_too_large_cuts_its_connection_and_nothing_else(
    before: Before, victim: WireClient, name: str
) -> None:
    """ZeroMQ ends the connection before the part is read; the session is there to go on with."""
    line = getattr(victim, name)
    monitor = line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    line.send_multipart([PREAMBLE, b"\x80" * (1 << 20) if name == "control" else bytes(MOST_BYTES + (1 << 20))])
    assert monitor.poll(WAIT_S * 1000), "the connection was not cut"
    line.disable_monitor()
    monitor.close()
    assert_served(before.sandbox, before.bystander)
    assert victim.welcome is not None
    if name == "control":
        hello = Hello("test", 1, 0, os.getpid(), resume=victim.welcome.session)
        assert victim.ask(hello, Welcome).resumed
    victim.send(victim.data, Join(victim.welcome.session))
    victim.hear(Joined, victim.data)
    assert_served(before.sandbox, before.bystander, victim)


def test_what_is_no_zeromq_holds_up_nobody(before: Before) -> None:
    junk = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\xff" + bytes(8) + b"\x7f",
        b"\xff",
        bytes(10_000),
        os.urandom(5_000),
        b"",
    ]
    opened = []
    for name in ("control.sock", "data.sock"):
        for bytes_ in junk:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.append(peer)
            peer.settimeout(WAIT_S)
            peer.connect(str(before.sandbox.run / name))
            try:
                peer.sendall(bytes_)
            except OSError:
                continue  # cut off already
    assert_served(before.sandbox, before.bystander)
    for peer in opened:
        peer.close()
    assert_served(before.sandbox, before.bystander)


def mutations(seed: int) -> Iterator[tuple[str, list[bytes]]]:
    """Recorded messages with something wrong, or with nothing: where they are sent, and their parts."""
    chance = random.Random(seed)
    kept = {name: message for name, message in CLIENTS.items() if not name.startswith("shutdown")}
    # So that a ring which is made after all is small.
    kept = {
        name: replace(message, slot_bytes=4096, pairs=1) if isinstance(message, OpenRing) else message
        for name, message in kept.items()
    }
    headers = [codec.encode(message)[1] for message in kept.values()]
    while True:
        packed = chance.choice(headers)
        parts = [PREAMBLE, packed]
        if chance.random() < 0.3:
            parts += [bytes(6)] * chance.randrange(1, 3)
        for _ in range(chance.randrange(0, 4)):
            index = chance.randrange(len(parts))
            parts[index] = mutated(parts[index], chance, headers)
        if chance.random() < 0.05:
            chance.shuffle(parts)
        if b"shutdown" in b"".join(parts):
            continue  # it would be done
        yield chance.choice(("control", "data")), parts


def mutated(part: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(part) + 1)
    match chance.randrange(7):
        case 0:
            return part[:at]
        case 1:
            return part[:at] + bytes([chance.randrange(256)]) + part[at + 1 :]
        case 2:
            return part[:at] + chance.randbytes(chance.randrange(1, 9)) + part[at:]
        case 3:
            other = chance.choice(others)
            return part[:at] + other[chance.randrange(len(other)) :]
        case 4:
            return (
                part[:at]
                + chance.choice((b"\xc0", b"\xc3", b"\x80", b"\x90", b"\xcb\x7f\xf8" + bytes(6)))
                + part[at + 1 :]
            )
        case 5:
            return part + part[:at]
        case _:
            return part[:at] + part[at + chance.randrange(1, 5) :]


def test_mutations_of_sound_messages_leave_a_server_that_serves(before: Before) -> None:
    sent = 0
    stream = mutations(seed=20)
    while sent < FUZZED:
        with WireClient(before.sandbox.run, hello=True) as fuzzer:
            for name, parts in (next(stream) for _ in range(FUZZED_AT_ONCE)):
                getattr(fuzzer, name).send_multipart(parts)
                sent += 1
                read_all(fuzzer, parts)
            last = last_word(fuzzer)
            lives = isinstance(last, Pong)
            until(lambda: (status := before.bystander.status()).queued + status.running == 0)
            assert_served(before.sandbox, before.bystander)
            if lives and bound_to_its_session(fuzzer):
                frame_is_right(fuzzer)
            fuzzer.welcome = fuzzer.welcome if lives else None


def read_all(client: WireClient, sent: Sequence[bytes]) -> None:
    """Read what has come; every error is fit to be read, and every message is one of the protocol."""
    for line in (client.control, client.data):
        while line.poll(0):
            message, _ = codec.decode(line.recv_multipart(), codec.FROM_SERVER)
            if isinstance(message, Rejected | Failed):
                assert "Traceback" not in message.error.message
                assert message.error.code != "server", message


def last_word(client: WireClient) -> Any:
    """The answer to a ping, or its refusal where the session is gone: a message may have been a sound Goodbye."""
    token = secrets.randbits(40)
    client.send(client.control, Ping(token))

    def is_it(message: Any) -> bool:
        if isinstance(message, Rejected):
            return "expected Hello as the first message" in message.error.message
        return isinstance(message, Pong) and message.token == token

    return heard(client, client.control, is_it)[0]


def bound_to_its_session(client: WireClient) -> bool:
    assert client.welcome is not None
    client.send(client.data, Join(client.welcome.session))
    message, _ = heard(
        client, client.data, lambda message: isinstance(message, Joined | Rejected) and is_of_join(message)
    )
    return isinstance(message, Joined)


def is_of_join(message: Any) -> bool:
    return isinstance(message, Joined) or "session" in message.error.message


def test_at_the_end_nothing_is_left_of_it(before: Before) -> None:
    """Memory, open files and the log of the server after everything above."""
    status = before.bystander.status()
    assert [each.restarts for each in status.devices] == [0]
    until(lambda: len(before.bystander.status().clients) == 1)
    until(lambda: before.sandbox.server.open_files() == before.files)
    grown = before.sandbox.server.rss_bytes() - before.rss_bytes
    assert grown < GROWTH_BYTES, f"the server grew by {grown >> 20} MiB"
    for line in before.sandbox.log().splitlines():
        assert line.isascii()
        assert len(line) <= 2048
        assert json.loads(line)["event"] != "bug", line
    assert before.sandbox.server.complaints() == ""
    assert_served(before.sandbox, before.bystander)
