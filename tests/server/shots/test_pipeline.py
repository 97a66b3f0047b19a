"""Reading ahead: in order, bounded, errors in their place, nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from impasto.server.shots.pipeline import ReadAhead


def never() -> bool:
    return False


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("impasto-read")]


def test_items_come_in_order() -> None:
    with ReadAhead((number for number in range(20)), 3) as ahead:
        assert list(ahead.take(never)) == list(range(20))
    assert threads() == []


def test_no_more_is_made_than_may_wait() -> None:
    made: list[int] = []

    def items() -> Generator[int, None, None]:
        for number in range(100):
            made.append(number)
            yield number

    with ReadAhead(items(), 2) as ahead:
        for number in ahead.take(never):
            # Two may wait, one more is in the maker's hand.
            assert len(made) <= number + 1 + 3
    assert len(made) == 100


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("frame 3 is damaged")

    taken: list[int] = []
    with ReadAhead(items(), 4) as ahead, pytest.raises(ValueError, match="frame 3 is damaged"):
        taken.extend(ahead.take(never))
    assert taken == [1, 2]
    assert threads() == []


def test_leaving_early_closes_the_source_in_its_own_thread() -> None:
    closed_in: list[str] = []

    def items() -> Generator[int, None, None]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed_in.append(threading.current_thread().name)

    with ReadAhead(items(), 2) as ahead:
        assert next(ahead.take(never)) == 0
    assert closed_in == ["impasto-read-ahead"]
    assert threads() == []


def test_taking_ends_when_it_is_stopped_though_the_source_hangs() -> None:
    release = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        release.wait(10)

    asked = iter([False, True, True])
    with ReadAhead(items(), 2) as ahead:
        assert list(ahead.take(lambda: next(asked))) == [1]
        release.set()
    assert threads() == []
