"""Frame numbers as runs: a set like any other, and small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from impasto.core.media.frame_numbers import FrameNumbers


@given(st.lists(st.integers(-12, 12)))
def test_it_is_the_set_of_what_was_added(numbers: list[int]) -> None:
    found, known = FrameNumbers(), set[int]()
    for number in numbers:
        assert found.add(number) is (number not in known)
        known.add(number)
        assert len(found) == len(known)
    assert [number in found for number in range(-14, 15)] == [number in known for number in range(-14, 15)]


def test_an_endless_shot_is_one_run() -> None:
    found = FrameNumbers()
    # Two workers' frames may change places on their way.
    for number in range(0, 100_000, 2):
        found.add(number + 1)
        found.add(number)
    assert (found.runs, len(found)) == (1, 100_000)
