"""Each bad message is answered by its own error, costs nobody else anything, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no hints
import numpy as np
import pytest
import zmq

from impasto.server.protocol import codec
from impasto.server.protocol.messages import Done, Failed, Hello, Join, Joined, OpenRing, Ping, Pong, Rejected, Welcome
from tests.compat.samples import CLIENTS
from tests.server.hostile.house import (
    House,
    assert_discreet,
    error_in,
    frame_is_right,
    goes_on,
    heard,
    house,
)
from tests.server.hostile.rows import NAMES, PREAMBLE, ROWS, Row, header, plain_submit
from tests.server.running_server import PIXELS, WAIT_S, Raw, until

MOST_BYTES = 32 << 20
"""Of one picture; the server cuts a connection over which more comes in one part."""
GROWTH_BYTES = 20 << 20
FUZZED = 2_000
FUZZED_AT_ONCE = 50


@dataclass
class Ward:
    """The server, a client that does nothing wrong, and what the server weighed before anything was done."""

    house: House
    bystander: Raw
    rss_bytes: int
    files: Any


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with house(limits={"raw_bytes": MOST_BYTES}) as running, Raw(running.folder, hello=True, lane="batch") as bystander:
        warm_up(running)
        bystander.open_ring()
        goes_on(running, bystander)
        yield Ward(running, bystander, running.rss_bytes(), running.files())


def warm_up(running: House) -> None:
    """Let the server take what it takes once: threads, a segment for samples in messages, the library that unpacks."""
    with Raw(running.folder, hello=True, encodings=("blosc2", "raw")) as first:
        first.open_ring()
        for _ in range(3):
            first.submit("delay-50ms")
        for _ in range(3):
            assert isinstance(first.answer()[0], Done)
        plain = {**plain_submit("warm"), "encoding": "blosc2"}
        if "blosc2" in (first.welcome.encodings if first.welcome else ()):
            import blosc2  # type: ignore[import-untyped]  # ships no hints

            packed = blosc2.compress2(PIXELS.tobytes(), codec=blosc2.Codec.LZ4, typesize=1, nthreads=1)
            first.data.send_multipart([PREAMBLE, msgpack.packb(plain), packed])
            first.answer()


@pytest.fixture
def victim(ward: Ward) -> Iterator[Raw]:
    assert ward.house.process.poll() is None, ward.house.complaints()
    with Raw(ward.house.folder, hello=True) as raw:
        yield raw


def cases() -> Iterator[Any]:
    for row in ROWS:
        for name in ("control", "data") if row.sockets == "both" else (row.sockets,):
            yield pytest.param(row, name, id=f"{row.number}-{row.name}-{name}".replace("\x00", "NUL"))


@pytest.mark.parametrize(("row", "name"), list(cases()))
def test_a_bad_message_is_answered_and_both_clients_are_served(ward: Ward, victim: Raw, row: Row, name: str) -> None:
    line = getattr(victim, name)
    line.send_multipart(list(row.parts))
    message, parts = heard(victim, line, lambda message: not isinstance(message, Pong))
    # Of a request that comes over the wrong socket, or whose parts are too many, only the header may be known.
    expected = (row.answer,) if name == row.sockets else (Rejected, Failed)
    assert isinstance(message, expected), message
    if isinstance(message, Done):
        assert message.id == row.id
        np.testing.assert_array_equal(np.frombuffer(parts[0], np.uint8), np.frombuffer(row.parts[2], np.uint8))
    else:
        error = error_in(message)
        assert_discreet(error, row.parts)
        assert error.code == row.code or not row.code, error
        assert row.field in (None, error.field), error
        assert not error.retryable, error
        if isinstance(message, Failed):
            assert message.id == row.id
    goes_on(ward.house, ward.bystander, victim)


def test_a_header_may_be_cut_off_anywhere(ward: Ward, victim: Raw) -> None:
    """Row 8."""
    whole: bytes = msgpack.packb(plain_submit("cut off", slot={"ring": 1, "pair": 2, "generation": 3}, viewer="a"))
    for end in range(len(whole)):
        victim.data.send_multipart([PREAMBLE, whole[:end], PIXELS.tobytes()])
        message, _ = victim.hear_parts(victim.data)
        assert isinstance(message, Rejected)
        assert_discreet(message.error, [whole])
    goes_on(ward.house, ward.bystander, victim)


VALUES: tuple[Any, ...] = (None, True, -1, 2**64 - 1, 0.5, "\x1b[2J", b"", [], {}, [[]], {"a": 1})


@pytest.mark.parametrize("type", sorted(codec.FROM_CLIENT.kinds))
def test_every_message_bears_any_value_in_any_field(ward: Ward, victim: Raw, type: str) -> None:
    """Rows 19 to 22, for each field of each message."""
    sound = msgpack.unpackb(codec.encode(CLIENTS[type])[1])
    line = victim.data if type in ("join", "submit", "submit_shot") else victim.control
    for field in sorted(sound.keys() - {"type"}):
        for value in VALUES:
            if type == "shutdown" and field == "at_once" and value is True:
                continue  # sound: it would be done
            if value == sound[field] or ((type, field) == ("open_ring", "pairs") and value is None):
                continue
            line.send_multipart([PREAMBLE, msgpack.packb({**sound, field: value})])
            message, _ = heard(victim, line, lambda message: not isinstance(message, Pong))
            assert_discreet(error_in(message), [repr(sound).encode()])
    goes_on(ward.house, ward.bystander, victim)


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES.keys())
def test_a_name_never_makes_a_second_line_in_the_log(ward: Ward, text: str) -> None:
    """Row 16: refused names, and those that are allowed, are one event each."""
    before = len(refusals(ward))
    with Raw(ward.house.folder) as stranger:
        for field in ("client", "host", "user"):
            facts = {"client": "a", "major": 1, "minor": 0, "pid": 1, field: text}
            stranger.control.send_multipart([PREAMBLE, header("hello", **facts)])
            message, _ = stranger.hear_parts(stranger.control)
            assert_discreet(error_in(message), [text.encode()])
            assert message.error.field == field
    written = until(lambda: len(lines := refusals(ward)) >= before + 3 and lines)
    assert len(written) == before + 3
    goes_on(ward.house, ward.bystander)


def refusals(ward: Ward) -> list[bytes]:
    """Lines of the log but for those of frames that are painted, which are written a little later than they happen."""
    return [line for line in ward.house.log_lines() if json.loads(line)["event"] != "frame"]


def test_a_strange_name_that_is_allowed_stays_on_its_line(ward: Ward) -> None:
    name = '"},{"event":"forged"}\\n\\r %n {0} \u200f\u200b\ufeff\U000e0041' + "麦" * 50
    with Raw(ward.house.folder, hello=True, client=name, host=name, user=name) as stranger:
        assert_discreet(stranger.frame(look=replace(LOOK, style=name)).error, [name.encode()])
        goes_on(ward.house, stranger)
        clients = [each for each in stranger.status().clients if "forged" in each.client]
        assert len(clients) == 1
    lines = [json.loads(line) for line in ward.house.log_lines()]
    assert not any(line["event"] == "forged" for line in lines)
    assert any(line.get("client") == name for line in lines)


LOOK = CLIENTS["submit.least"].look  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["control", "data"])
def test_a_part_that_is_too_large_cuts_its_connection_and_nothing_else(ward: Ward, victim: Raw, name: str) -> None:
    """Rows 5 and 13: ZeroMQ ends the connection before the part is read; the session is there to go on with."""
    line = getattr(victim, name)
    monitor = line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    line.send_multipart([PREAMBLE, b"\x80" * (1 << 20) if name == "control" else bytes(MOST_BYTES + (1 << 20))])
    assert monitor.poll(WAIT_S * 1000), "the connection was not cut"
    line.disable_monitor()
    monitor.close()
    goes_on(ward.house, ward.bystander)
    assert victim.welcome is not None
    if name == "control":
        hello = Hello("test", 1, 0, os.getpid(), resume=victim.welcome.session)
        assert victim.ask(hello, Welcome).resumed
    victim.send(victim.data, Join(victim.welcome.session))
    victim.hear(Joined, victim.data)
    goes_on(ward.house, ward.bystander, victim)


def test_what_is_no_zeromq_holds_up_nobody(ward: Ward) -> None:
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
            peer.connect(str(ward.house.folder / name))
            try:
                peer.sendall(bytes_)
            except OSError:
                continue  # cut off already
    goes_on(ward.house, ward.bystander)
    for peer in opened:
        peer.close()
    goes_on(ward.house, ward.bystander)


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


def test_mutations_of_sound_messages_leave_a_server_that_serves(ward: Ward) -> None:
    sent = 0
    stream = mutations(seed=20)
    while sent < FUZZED:
        with Raw(ward.house.folder, hello=True) as fuzzer:
            for name, parts in (next(stream) for _ in range(FUZZED_AT_ONCE)):
                getattr(fuzzer, name).send_multipart(parts)
                sent += 1
                read_all(fuzzer, parts)
            last = last_word(fuzzer)
            lives = isinstance(last, Pong)
            until(lambda: (status := ward.bystander.status()).queued + status.running == 0)
            goes_on(ward.house, ward.bystander)
            if lives and bound_to_its_session(fuzzer):
                frame_is_right(fuzzer)
            fuzzer.welcome = fuzzer.welcome if lives else None


def read_all(client: Raw, sent: Sequence[bytes]) -> None:
    """Read what has come; every error is fit to be read, and every message is one of the protocol."""
    for line in (client.control, client.data):
        while line.poll(0):
            message, _ = codec.decode(line.recv_multipart(), codec.FROM_SERVER)
            if isinstance(message, Rejected | Failed):
                assert "Traceback" not in message.error.message
                assert message.error.code != "server", message


def last_word(client: Raw) -> Any:
    """The answer to a ping, or its refusal where the session is gone: a message may have been a sound Goodbye."""
    token = secrets.randbits(40)
    client.send(client.control, Ping(token))

    def is_it(message: Any) -> bool:
        if isinstance(message, Rejected):
            return "expected Hello as the first message" in message.error.message
        return isinstance(message, Pong) and message.token == token

    return heard(client, client.control, is_it)[0]


def bound_to_its_session(client: Raw) -> bool:
    assert client.welcome is not None
    client.send(client.data, Join(client.welcome.session))
    message, _ = heard(
        client, client.data, lambda message: isinstance(message, Joined | Rejected) and is_of_join(message)
    )
    return isinstance(message, Joined)


def is_of_join(message: Any) -> bool:
    return isinstance(message, Joined) or "session" in message.error.message


def test_at_the_end_nothing_is_left_of_it(ward: Ward) -> None:
    """Memory, open files and the log of the server after everything above."""
    status = ward.bystander.status()
    assert [each.restarts for each in status.devices] == [0]
    until(lambda: len(ward.bystander.status().clients) == 1)
    until(lambda: ward.house.files() == ward.files)
    grown = ward.house.rss_bytes() - ward.rss_bytes
    assert grown < GROWTH_BYTES, f"the server grew by {grown >> 20} MiB"
    for line in ward.house.log_lines():
        assert line.isascii()
        assert len(line) <= 2048
        assert json.loads(line)["event"] != "bug", line
    assert ward.house.complaints() == ""
    goes_on(ward.house, ward.bystander)
