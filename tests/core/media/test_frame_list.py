"""Frames as Nuke and OpenJD write them."""

from __future__ import annotations

import pytest

from impasto.core.errors import UsageError
from impasto.core.media.frame_list import parse_frame_list


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("12", [(12, 12)]),
        ("10-20", [(10, 20)]),
        ("-5-20", [(-5, 20)]),
        ("-5--2", [(-5, -2)]),
        ("1,3,5", [(1, 1), (3, 3), (5, 5)]),
        ("1-7x2", [(1, 1), (3, 3), (5, 5), (7, 7)]),
        ("1-8X3", [(1, 1), (4, 4), (7, 7)]),
        ("1-7:3", [(1, 1), (4, 4), (7, 7)]),
        ("1-3, 4-6 9", [(1, 6), (9, 9)]),
        ("5,1-3,2", [(1, 3), (5, 5)]),
        ("1-9x2,2-8x2", [(1, 9)]),
        ("1-1000000000", [(1, 1_000_000_000)]),
    ],
)
def test_lists_become_ascending_runs(text: str, runs: list[tuple[int, int]]) -> None:
    assert [(each.first, each.last) for each in parse_frame_list(text)] == runs


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "1-2-3", "1x2", "1-9x0", "1-9x", "1-9x-2", "1.5", "٣"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected frames as A-B, A-BxN or A,B,C"):
        parse_frame_list(text)


def test_backwards_and_endless_lists_are_refused() -> None:
    with pytest.raises(UsageError, match="got '9-1'; write 1-9"):
        parse_frame_list("3,9-1")
    with pytest.raises(UsageError, match="render it in parts"):
        parse_frame_list("1-4000000000x2")
