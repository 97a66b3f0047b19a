"""SMPTE timecode, its stored words, and drop-frame counting."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.media.timecode import advance_timecode, timecode_to_words, words_to_timecode

NTSC = Fraction(30000, 1001)


def test_words_are_binary_coded_decimal() -> None:
    assert words_to_timecode((0x01020304, 0)) == "01:02:03:04"


def test_the_drop_frame_flag_is_a_semicolon() -> None:
    assert words_to_timecode((0x01020344, 0)) == "01:02:03;04"


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 29), st.sampled_from(":;"))
def test_text_to_words_and_back(hours: int, minutes: int, seconds: int, frames: int, separator: str) -> None:
    text = f"{hours:02}:{minutes:02}:{seconds:02}{separator}{frames:02}"
    words = timecode_to_words(text)
    assert words is not None
    assert words_to_timecode(words) == text


@pytest.mark.parametrize("text", ["", "1001", "01:02:03", "01:61:00:00"])
def test_what_is_no_timecode_has_no_words(text: str) -> None:
    assert timecode_to_words(text) is None


@pytest.mark.parametrize(
    ("start", "frames", "rate", "later"),
    [
        ("00:00:59:24", 1, Fraction(25), "00:01:00:00"),
        ("23:59:59:23", 1, Fraction(24), "00:00:00:00"),
        # SMPTE ST 12-1: numbers 0 and 1 are dropped at every minute but the tenth.
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("00:00:00;00", 17982, NTSC, "00:10:00;00"),
        ("00:00:00;00", 1800, NTSC, "00:01:00;02"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
    ],
)
def test_advancing(start: str, frames: int, rate: Fraction, later: str) -> None:
    assert advance_timecode(start, frames, rate) == later
