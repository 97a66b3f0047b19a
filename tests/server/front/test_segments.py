"""Who owns which pair of a ring, and which stages are free."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from impasto.server.front.segments import IDLE_S, SessionRing, Staging
from impasto.server.protocol.codec import Malformed
from impasto.server.protocol.messages import Slot
from impasto.server.shared_memory import create_segment


@pytest.fixture
def ring() -> Iterator[SessionRing]:
    with create_segment(4096, 2) as segment:
        yield SessionRing(7, segment, ready=True)


def refused(ring: SessionRing, slot: Slot) -> str:
    with pytest.raises(Malformed) as caught:
        ring.claim(slot)
    return caught.value.field


def test_a_pair_is_claimed_once(ring: SessionRing) -> None:
    place = ring.claim(Slot(7, 1, 1))
    assert (place.in_offset, place.out_offset) == (ring.segment.in_offset(1), ring.segment.out_offset(1))
    assert refused(ring, Slot(7, 1, 2)) == "slot.pair"
    ring.release(Slot(7, 1, 1), used=True)
    assert refused(ring, Slot(7, 1, 1)) == "slot.generation"
    ring.claim(Slot(7, 1, 2))


def test_a_pair_that_no_worker_saw_may_be_named_again(ring: SessionRing) -> None:
    ring.claim(Slot(7, 0, 5))
    ring.release(Slot(7, 0, 5), used=False)
    ring.claim(Slot(7, 0, 5))


@pytest.mark.parametrize(("slot", "field"), [(Slot(8, 0, 1), "slot.ring"), (Slot(7, 2, 1), "slot.pair")])
def test_a_slot_that_is_not_there_is_refused(ring: SessionRing, slot: Slot, field: str) -> None:
    assert refused(ring, slot) == field


def test_a_ring_is_used_when_its_mapping_is_proven(ring: SessionRing) -> None:
    ring.ready = False
    assert refused(ring, Slot(7, 0, 1)) == "slot.ring"
    assert not ring.proves(bytes(16))
    assert ring.proves(ring.segment.nonce)


def test_a_result_is_there_until_its_pair_is_named_again(ring: SessionRing) -> None:
    first = Slot(7, 0, 1)
    ring.claim(first)
    assert not ring.holds(first)
    ring.release(first, used=True)
    assert ring.holds(first)
    ring.claim(Slot(7, 0, 2))
    assert not ring.holds(first)


class Sending:
    done = False


def test_a_staging_segment_is_used_again_once_its_message_has_left() -> None:
    now = [0.0]
    staging = Staging(itertools.count(1).__next__, lambda: now[0])
    assert staging.reuse(5000) is None
    segment = staging.open(5000)
    assert staging.reuse(5000) is None
    tracker = Sending()
    staging.give_back(segment, tracker)
    assert staging.reuse(5000) is None
    tracker.done = True
    assert staging.open(5000) is segment
    staging.give_back_when_sent(segment)(None)
    assert staging.reuse(5 << 20) is None
    now[0] = IDLE_S + 1
    assert staging.stale() == [segment]
    assert staging.reuse(5000) is None
    segment.memory.release()
    segment.segment.close()
    staging.close()
