"""Rings and what is in them: pairs of others and of the past, proofs that prove nothing, memory written over."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.server.protocol.messages import (
    AttachRing,
    CloseRing,
    Done,
    Failed,
    MattePicture,
    OpenRing,
    Pong,
    RingOffered,
    RingReady,
    Slot,
)
from impasto.server.shared_memory import map_segment
from tests.server.hostile.checks import answer_to, assert_discreet, assert_served, new_id, refused
from tests.server.running_server import Sandbox
from tests.server.wire_client import PIXELS, WireClient, request_of
from tests.waiting import until


def test_a_pair_has_one_request_and_its_generations_rise(victim: WireClient, other: WireClient) -> None:
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


def test_the_highest_generation_is_the_pairs_last(victim: WireClient) -> None:
    assert victim.ring is not None
    highest = (1 << 63) - 1
    victim.write(2, PIXELS)
    done = victim.frame(slot=Slot(victim.ring.ring, 2, highest))
    assert isinstance(done, Done)
    assert (
        refused(victim, request_of("echo", PIXELS, slot=Slot(victim.ring.ring, 2, highest))).field == "slot.generation"
    )


def test_what_is_in_a_slot_fits_into_it(victim: WireClient) -> None:
    """Of a ring whose slots are 64 KiB."""
    tall = request_of("echo", np.zeros((129, 128, 4), np.uint8), slot=victim.slot(1))
    assert refused(victim, tall).field == "picture"
    matte = MattePicture("uint8", 8, 65_536)
    assert refused(victim, request_of("echo", PIXELS, slot=victim.slot(1), matte=matte)).field == "matte.offset"
    assert refused(victim, request_of("echo", PIXELS, slot=victim.slot(1)), PIXELS.tobytes()).field == "slot"


def test_a_ring_is_proven_by_its_nonce_alone(shared: Sandbox, bystander: WireClient, other: WireClient) -> None:
    with WireClient(shared.run, hello=True) as raw:
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
            unproven = Slot(offer.ring, 0, 1)
            if trick != "twice":
                assert refused(raw, request_of("echo", PIXELS, slot=unproven)).field == "slot"
            del memory
        assert_served(shared, bystander, other, raw)


def test_a_ring_of_absurd_size_is_refused_with_a_way_out(victim: WireClient) -> None:
    for slot_bytes, pairs in ((2 << 30, 64), ((1 << 31) - 1, 64)):
        failed = victim.ask(OpenRing(new_id(), slot_bytes, pairs), Failed)
        assert failed.error.code == "busy"
        assert "in the message" in failed.error.message
        assert_discreet(failed.error, [])


def test_rings_that_nobody_attaches_do_not_add_up(shared: Sandbox, victim: WireClient) -> None:
    """Each is offered, or refused because a newer one was asked for; the last is offered."""
    before = shared.server.open_files()
    ids = [new_id() for _ in range(100)]
    for id in ids:
        victim.send(victim.control, OpenRing(id, 4096, 1))
    answers = {}
    while len(answers) < len(ids):
        message, _ = victim.hear_parts(victim.control)
        if isinstance(message, Pong):  # by which the server finds out who is gone
            continue
        assert isinstance(message, RingOffered) or (isinstance(message, Failed) and message.error.code == "busy")
        assert message.id not in answers
        answers[message.id] = message
    assert answers.keys() == set(ids)
    assert isinstance(answers[ids[-1]], RingOffered)
    offers = [message for message in answers.values() if isinstance(message, RingOffered)]
    victim.send(victim.control, CloseRing(offers[-1].ring))
    victim.send(victim.control, CloseRing(offers[0].ring))
    victim.send(victim.control, CloseRing((1 << 63) - 1))
    until(lambda: shared.server.open_files() == before)


def test_a_ring_that_is_closed_under_a_request_stays_until_its_answer(shared: Sandbox, bystander: WireClient) -> None:
    with WireClient(shared.run, hello=True) as raw:
        offer = raw.open_ring()
        id = raw.submit("delay-400ms", slot=raw.slot(0))
        until(lambda: raw.status().running)
        raw.send(raw.control, CloseRing(offer.ring))
        raw.send(raw.control, CloseRing(offer.ring))
        assert isinstance(answer_to(raw, id)[0], Done)
        assert refused(raw, request_of("echo", PIXELS, slot=raw.slot(0))).field == "slot"
        raw.ring = None
        assert_served(shared, bystander, raw)


def test_nobody_can_shorten_a_ring(victim: WireClient) -> None:
    """A peer that could would have the worker die of SIGBUS."""
    assert victim.ring is not None
    with open(victim.ring.path, "r+b") as file:
        for size in (0, 4096, victim.ring.segment_bytes * 2):
            with pytest.raises(PermissionError):
                file.truncate(size)


def test_a_ring_that_is_written_over_meanwhile_harms_nobody(victim: WireClient) -> None:
    """All of it, page 0 included, again and again while frames are painted in it."""
    assert victim.ring is not None
    ids = [victim.submit("delay-50ms", slot=victim.slot(pair)) for pair in range(3)]
    for byte in range(40):
        victim.memory[:] = bytes([byte]) * len(victim.memory)
    for _ in ids:
        message, _ = victim.answer()
        assert isinstance(message, Done)


def test_it_was_one_server_all_the_time(shared: Sandbox, bystander: WireClient) -> None:
    assert [each.restarts for each in bystander.status().devices] == [0]
    assert shared.server.complaints() == ""
    assert not any('"bug"' in line for line in shared.log().splitlines())
