"""Reading ahead and writing behind: in order, bounded, errors in their place, nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Generator
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from impasto.core.errors import NoSpace, UnreadableMedia
from impasto.core.frame import Frame
from impasto.server.shots.pipeline import ReadAhead, WriteBehind


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


class FakeWriter:
    """Keeps numbers instead of files; fails at one of them where asked to."""

    path = "fake.####.exr"

    def __init__(self, fails_at: int | None = None, fails_on_leaving: bool = False) -> None:
        self.written: list[int] = []
        self.left_with: list[type[BaseException] | None] = []
        self._fails_at, self._fails_on_leaving = fails_at, fails_on_leaving

    def has(self, number: int) -> bool:
        raise AssertionError("nobody resumes here")

    def write(self, frame: Frame) -> str:
        if frame.number == self._fails_at:
            raise NoSpace("the disk is full")
        self.written.append(frame.number)
        return f"fake.{frame.number:04}.exr"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left_with.append(kind)
        if self._fails_on_leaving and kind is None:
            raise NoSpace("the trailer does not fit")


def frame(number: int) -> Frame:
    return Frame.from_pixels(np.zeros((2, 2, 3), np.float16), number=number)


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "impasto-write-behind"]


def test_every_frame_is_stored_before_the_block_is_left() -> None:
    writer = FakeWriter()
    with WriteBehind(writer, 2) as behind:
        for number in range(10):
            behind.put(frame(number))
    assert writer.written == list(range(10))
    assert writer.left_with == [None]
    assert behind.stored() == [(number, f"fake.{number:04}.exr") for number in range(10)]
    assert no_thread_is_left()


def test_after_an_exception_waiting_frames_are_stored_and_the_writer_is_told() -> None:
    writer = FakeWriter()
    with pytest.raises(UnreadableMedia, match="plate 4"), WriteBehind(writer, 4) as behind:  # noqa: PT012
        for number in range(3):
            behind.put(frame(number))
        raise UnreadableMedia("plate 4 is damaged")
    assert writer.written == [0, 1, 2]
    assert writer.left_with[0] is not None
    assert no_thread_is_left()


def test_what_the_writer_raises_is_raised_where_frames_are_put() -> None:
    writer = FakeWriter(fails_at=1)
    with pytest.raises(NoSpace, match="the disk is full"), WriteBehind(writer, 1) as behind:  # noqa: PT012
        for number in range(1000):
            behind.put(frame(number))
    assert writer.written == [0]
    assert no_thread_is_left()


def test_what_the_writer_raises_at_the_end_is_raised_on_leaving() -> None:
    with pytest.raises(NoSpace, match="trailer"), WriteBehind(FakeWriter(fails_on_leaving=True), 1) as behind:
        behind.put(frame(0))
    assert no_thread_is_left()
