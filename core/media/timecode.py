"""SMPTE timecode as text and as the two words that EXR and DPX store (SMPTE ST 12-1, ST 268)."""

from __future__ import annotations

import re
from fractions import Fraction

_TEXT = re.compile(r"^(\d{1,2}):(\d{2}):(\d{2})([:;.])(\d{2,3})$")


def words_to_timecode(words: tuple[int, int]) -> str:
    """'01:02:03:04' from time-and-flags in binary-coded decimal; ';' before the frames marks drop-frame."""
    time = words[0] & 0xFFFFFFFF

    def digits(shift: int, tens_mask: int) -> int:
        return ((time >> (shift + 4)) & tens_mask) * 10 + ((time >> shift) & 0xF)

    separator = ";" if time & 0x40 else ":"
    return f"{digits(24, 3):02}:{digits(16, 7):02}:{digits(8, 7):02}{separator}{digits(0, 3):02}"


def timecode_to_words(text: str) -> tuple[int, int] | None:
    """Time-and-flags (user data 0) of a timecode, or None where the text is none or does not fit (frames above 39)."""
    match = _TEXT.match(text)
    if match is None:
        return None
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    if hours > 39 or minutes > 59 or seconds > 59 or frames > 39:
        return None
    time = 0
    for value in (hours, minutes, seconds, frames):
        time = time << 8 | value // 10 << 4 | value % 10
    if match[4] == ";":
        time |= 0x40
    # The words are stored unsigned, and OpenImageIO takes them as signed.
    return (time - (1 << 32) if time >= 1 << 31 else time), 0


def advance_timecode(text: str, frames: int, rate: Fraction) -> str | None:
    """The timecode `frames` later at `rate`; drop-frame where the separator is ';'. None where `text` is no timecode.

    Counting follows SMPTE ST 12-1: drop-frame skips two numbers a minute (four at 59.94), except
    every tenth minute. Wraps at 24 hours.
    """
    match = _TEXT.match(text)
    if match is None or rate <= 0:
        return None
    base = round(rate)
    hours, minutes, seconds, start = (int(match[group]) for group in (1, 2, 3, 5))
    dropping = match[4] in ";." and base % 30 == 0
    dropped = 2 * base // 30 if dropping else 0
    total_minutes = hours * 60 + minutes
    count = (total_minutes * 60 + seconds) * base + start - dropped * (total_minutes - total_minutes // 10) + frames

    per_minute = base * 60 - dropped
    per_ten = base * 600 - dropped * 9
    count %= per_ten * 6 * 24
    tens, rest = divmod(count, per_ten)
    if dropping and rest >= base * 60:
        count += dropped * (9 * tens + 1 + (rest - base * 60) // per_minute)
    else:
        count += dropped * 9 * tens
    whole_seconds, frame = divmod(count, base)
    return (
        f"{whole_seconds // 3600:02}:{whole_seconds // 60 % 60:02}:{whole_seconds % 60:02}"
        f"{match[4]}{frame:0{max(2, len(match[5]))}}"
    )
