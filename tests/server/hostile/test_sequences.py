"""Messages that are sound by themselves and wrong where they are: out of order, of another, of the past."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import numpy as np
import pytest
import zmq

from impasto.server.protocol import codec
from impasto.server.protocol.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Goodbye,
    Hello,
    Join,
    Joined,
    Ping,
    Pong,
    Rejected,
    Welcome,
)
from tests.compat.samples import CLIENTS
from tests.server.hostile.checks import answer_to, assert_discreet, assert_served, error_in, heard, new_id, refused
from tests.server.running_server import Sandbox
from tests.server.wire_client import PIXELS, PREAMBLE, WireClient, request_of
from tests.waiting import until

SOUND = {name: message for name, message in CLIENTS.items() if "." not in name}
ON_DATA = ("join", "submit", "submit_shot")


@pytest.mark.parametrize("name", sorted(SOUND.keys() - {"hello"}))
def test_nothing_is_taken_before_hello_and_join(shared: Sandbox, bystander: WireClient, name: str) -> None:
    with WireClient(shared.run) as stranger:
        line = stranger.data if name in ON_DATA else stranger.control
        stranger.send(line, SOUND[name])
        rejected = stranger.hear(Rejected, line)
        assert rejected.error.code == "invalid_request"
        assert_discreet(rejected.error, codec.encode(SOUND[name]))
        stranger.greet()
        assert_served(shared, bystander, stranger)


@pytest.mark.parametrize("name", sorted(SOUND))
def test_every_message_has_its_socket(victim: WireClient, name: str) -> None:
    line = victim.control if name in ON_DATA else victim.data
    victim.send(line, SOUND[name])
    message, _ = heard(victim, line, lambda message: not isinstance(message, Pong))
    assert "socket" in error_in(message).message


def test_a_request_before_join_is_refused_though_hello_was_said(shared: Sandbox, bystander: WireClient) -> None:
    with WireClient(shared.run) as half:
        welcome = half.ask(Hello("half", 1, 0, os.getpid()), Welcome)
        half.send(half.data, request_of("echo", PIXELS), PIXELS.tobytes())
        assert "Join" in half.hear(Rejected, half.data).error.message
        half.welcome = welcome
        half.send(half.data, Join(welcome.session))
        half.hear(Joined, half.data)
        assert_served(shared, bystander, half)


def test_hello_is_said_once(victim: WireClient) -> None:
    for resume in (None, new_id(), victim.welcome.session if victim.welcome else b""):
        rejected = victim.ask(Hello("again", 1, 0, 1, resume=resume), Rejected)
        assert "second" in rejected.error.message


def test_a_session_that_is_not_there_cannot_be_joined(shared: Sandbox, victim: WireClient, other: WireClient) -> None:
    assert victim.welcome is not None
    assert other.welcome is not None
    dead = WireClient(shared.run, hello=True)
    assert dead.welcome is not None
    gone = dead.welcome.session
    dead.send(dead.control, Goodbye())
    until(lambda: gone_from(victim, dead))
    for session in (gone, bytes(16), new_id()):
        with WireClient(shared.run) as stranger:
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


def gone_from(watching: WireClient, dead: WireClient) -> bool:
    dead.send(dead.control, Ping(1))
    message, _ = heard(dead, dead.control, lambda message: True)
    return isinstance(message, Rejected)


def test_only_what_runs_is_taken_back_and_only_by_its_owner(victim: WireClient, other: WireClient) -> None:
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


def test_a_cancel_that_overtakes_its_request_takes_it_back(victim: WireClient) -> None:
    """Control does not wait behind pixels: a request of megabytes comes after its own cancel."""
    id = victim.submit("delay-400ms", pixels=np.zeros((540, 960, 4), np.float32))
    victim.send(victim.control, Cancel(id))
    assert isinstance(answer_to(victim, id)[0], Cancelled)
    late = request_of("delay-400ms", PIXELS, slot=victim.slot(1))
    victim.send(victim.control, Cancel(late.id))
    victim.status()  # answered behind the cancel
    for _ in range(2):  # and the same again when it is asked again
        victim.send(victim.data, late)
        answer, _ = answer_to(victim, late.id)
        assert isinstance(answer, Cancelled)
        assert answer.reason == "asked"
    assert isinstance(victim.frame(slot=late.slot), Done), "the pair was never the server's"


def test_cancels_of_what_never_comes_are_forgotten(victim: WireClient) -> None:
    first = new_id()
    for id in (first, *(new_id() for _ in range(200))):
        victim.send(victim.control, Cancel(id))
    victim.ask(Ping(5), Pong)
    victim.status()
    assert isinstance(victim.frame(id=first), Done)


@pytest.mark.parametrize(("style", "code"), [("fail", "style"), ("oom", "out_of_memory"), ("bug", "server")])
def test_an_error_of_the_worker_says_nothing_of_its_inside(victim: WireClient, style: str, code: str) -> None:
    failed = victim.frame(style)
    assert isinstance(failed, Failed)
    assert failed.error.code == code
    assert "a bug of the worker" not in failed.error.message
    assert "Traceback" not in failed.error.message


def test_an_id_names_one_request(victim: WireClient, other: WireClient) -> None:
    first = request_of("delay-400ms", PIXELS, slot=victim.slot(1))
    victim.send(victim.data, first)
    until(lambda: victim.status().running)
    victim.send(victim.data, replace(first, frame=5))
    assert "new id" in victim.hear(Rejected, victim.data).error.message, "it did not end the first"
    stolen = replace(first, slot=other.slot(1))
    assert refused(other, stolen).code in ("busy", "invalid_request")
    assert isinstance(answer_to(victim, first.id)[0], Done)
    assert "new id" in refused(victim, replace(first, frame=5)).message
    other.send(other.data, stolen)
    assert isinstance(answer_to(other, stolen.id)[0], Done), "an id of another's past is nobody's"


@pytest.mark.parametrize("pid", [0, 1, (1 << 31) - 1, 1 << 31])
def test_a_client_that_lies_about_its_process_and_leaves_takes_nothing_with_it(
    shared: Sandbox, bystander: WireClient, pid: int
) -> None:
    raw = WireClient(shared.run, hello=True, pid=pid)
    raw.submit("delay-400ms")
    raw.context.destroy(linger=0)
    until(lambda: bystander.status().running == 0)
    assert_served(shared, bystander)


def test_after_goodbye_there_is_no_session(shared: Sandbox, bystander: WireClient) -> None:
    with WireClient(shared.run, hello=True) as raw:
        raw.submit("delay-400ms")
        until(lambda: raw.status().running)
        raw.send(raw.control, Goodbye())
        raw.send(raw.control, Goodbye())
        assert "Hello" in raw.hear(Rejected, raw.control).error.message
        raw.send(raw.data, request_of("echo", PIXELS), PIXELS.tobytes())
        message, _ = heard(raw, raw.data, lambda message: isinstance(message, Rejected))
        assert "Join" in message.error.message
        raw.greet()
        assert_served(shared, bystander, raw)


@pytest.mark.parametrize("name", ["control", "data"])
def test_who_asks_and_never_reads_loses_the_session_and_nobody_else_waits(
    shared: Sandbox, bystander: WireClient, name: str
) -> None:
    before = bystander.status().counters["sessions_lost"]
    with WireClient(shared.run, hello=True) as deaf:
        line = getattr(deaf, name)
        line.sndtimeo = 100
        with contextlib.suppress(zmq.Again):
            for number in range(100_000):
                line.send_multipart([PREAMBLE, b"\xc1"])
                if number % 2_000 == 1_999 and bystander.status().counters["sessions_lost"] > before:
                    break
        until(lambda: bystander.status().counters["sessions_lost"] > before)
        assert_served(shared, bystander)
        deaf.welcome = None


def test_packed_samples_that_are_not_what_they_say_are_refused(shared: Sandbox, bystander: WireClient) -> None:
    blosc2 = pytest.importorskip("blosc2")
    too_many = bytes(blosc2.compress2(bytes(1 << 20), codec=blosc2.Codec.LZ4, typesize=1, nthreads=1))
    with WireClient(shared.run, hello=True, encodings=("blosc2", "raw")) as client:
        for chunk in (too_many, b"\x28\xb5\x2f\xfd\xa4\xff\xff\xff\x7f\x01\x00\x00", PIXELS.tobytes()):
            error = refused(client, request_of("echo", PIXELS, encoding="blosc2"), chunk)
            assert error.field in ("encoding", "picture")
        assert_served(shared, bystander, client)


def test_it_was_one_server_all_the_time(shared: Sandbox, bystander: WireClient) -> None:
    assert [each.restarts for each in bystander.status().devices] == [0]
    assert shared.server.complaints() == ""
    assert not any('"bug"' in line for line in shared.log().splitlines())
