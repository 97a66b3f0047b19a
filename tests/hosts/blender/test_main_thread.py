"""What needs no Blender: calls brought to the main thread, and exceptions as sentences."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from impasto.core.errors import UsageError
from impasto.hosts.blender import failure, main_thread


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    failure.forget()
    yield
    while main_thread.drain():
        pass
    failure.forget()


def test_calls_of_any_thread_run_where_they_are_drained_and_in_order() -> None:
    ran: list[tuple[int, int]] = []

    def call(number: int) -> None:
        ran.append((number, threading.get_ident()))

    def ask() -> None:
        for number in range(5):
            main_thread.later(lambda number=number: call(number))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert ran == []
    assert main_thread.drain() == 5
    assert ran == [(number, threading.get_ident()) for number in range(5)]


def test_a_flood_of_calls_is_taken_in_turns() -> None:
    for _ in range(main_thread.CALLS_AT_ONCE + 3):
        main_thread.later(lambda: None)
    assert main_thread.drain() == main_thread.CALLS_AT_ONCE
    assert main_thread.drain() == 3


def test_a_call_that_fails_is_remembered_and_the_others_run() -> None:
    ran: list[str] = []

    def fail() -> None:
        raise UsageError("expected a strip, got none; select one")

    main_thread.later(fail)
    main_thread.later(lambda: ran.append("ran"))
    assert main_thread.drain() == 2
    assert ran == ["ran"]
    assert failure.last_error() == "expected a strip, got none; select one"


def test_an_error_of_ours_is_its_own_sentence_on_one_line() -> None:
    assert failure.sentence_of(UsageError("expected\n  one line")) == "expected one line"


def test_a_fault_names_a_file_with_the_details_and_writes_it_once() -> None:
    said = {failure.sentence_of(_raised(KeyError("style"))) for _ in range(3)}
    (sentence,) = said
    assert "impasto itself is at fault (KeyError: 'style'); the details are in '" in sentence
    with open(sentence.split("details are in '")[1].partition("'")[0], encoding="utf-8") as log:
        assert "KeyError" in log.read()


def test_a_guarded_call_returns_what_it_was_told_instead() -> None:
    @failure.guarded_call(instead=0.5)
    def timer() -> float:
        raise UsageError("expected a frame")

    assert timer() == 0.5
    assert failure.last_error() == "expected a frame"


def _raised(error: KeyError) -> KeyError:
    try:
        raise error
    except KeyError as raised:
        return raised
