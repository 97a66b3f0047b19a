"""When samples are packed on their way to another machine."""

from __future__ import annotations

from impasto.server.client.link_rate import LinkRate

FRAME = 16_588_800
GIGABIT = 125e6


def test_before_the_first_frame_the_distance_decides() -> None:
    assert LinkRate(packed_first=True).packs()
    assert not LinkRate(packed_first=False).packs()


def test_a_slow_link_is_packed_for_and_a_fast_one_is_not() -> None:
    for rate, packs in ((0.1 * GIGABIT, True), (10 * GIGABIT, False)):
        link = LinkRate(packed_first=not packs)
        link.note(FRAME, FRAME / rate)
        assert link.packs() is packs


def test_a_link_that_becomes_slow_is_noticed_within_a_few_frames() -> None:
    link = LinkRate(packed_first=False)
    for _ in range(3):
        link.note(FRAME, FRAME / (10 * GIGABIT))
    for _ in range(15):
        link.note(FRAME, FRAME / (0.1 * GIGABIT))
    assert link.packs()


def test_small_messages_and_clocks_that_disagree_say_nothing() -> None:
    link = LinkRate(packed_first=False)
    link.note(1000, 1.0)
    link.note(FRAME, -0.01)
    assert link.bytes_per_s is None
