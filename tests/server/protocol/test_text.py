"""Text on the wire: what is refused, what is mended on the way out, and what an error message repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.server.protocol.text import SHOWN, cleaned, offence, shown

WILD = st.text(st.characters(exclude_categories=()), max_size=200)
"""Halves of surrogate pairs too: a path that is not UTF-8 has them."""


@given(text=WILD, most=st.integers(0, 300))
def test_cleaned_text_may_be_sent(text: str, most: int) -> None:
    mended = cleaned(text, most)
    assert offence(mended) is None
    assert len(mended.encode()) <= most


@pytest.mark.parametrize("text", ["", "wheatfield", "Weizenfeld – Öl", "麦畑", "🌾" * 10, "/renders/shot 010/%04d.exr"])
def test_sound_text_is_left_as_it_is(text: str) -> None:
    assert offence(text) is None
    assert cleaned(text) == text


def test_the_offence_says_what_and_where() -> None:
    assert offence("two\nlines") == "U+000A at 3"
    assert offence("ré\u202etxt") == "U+202E at 2"


@given(value=WILD | st.binary() | st.floats() | st.integers() | st.none() | st.lists(st.integers()) | st.booleans())
def test_what_is_shown_is_short_and_printable(value: object) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) <= SHOWN
