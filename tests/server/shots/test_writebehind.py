"""Writing behind: the writer is told how it ends, and what it raises is heard."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from impasto.core.errors import NoSpace, UnreadableMedia
from impasto.core.frame import Frame
from impasto.server.shots.writebehind import Stored, WriteBehind


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
    assert behind.stored() == [Stored(number, f"fake.{number:04}.exr") for number in range(10)]
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
