"""Timecodes as Resolve writes them: HH:MM:SS:FF, with a semicolon for drop-frame (SMPTE ST 12-1)."""

from __future__ import annotations

import re

from impasto.hosts.bridge.errors import BridgeError

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)")
_TEXT = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;])(\d{2,3})")


def nominal_rate(rate: str) -> int:
    """Frame numbers in a second: 24 for '23.976', 30 for '29.97 DF'. BridgeError for what is no rate."""
    number = round(_number(rate))
    if number <= 0:
        raise BridgeError(f"expected a frame rate such as 24 or 29.97 DF, got '{rate}'; check the timeline")
    return number


def same_rate(one: str, other: str) -> bool:
    """Whether two rates are the same: '24' and '24.0', '29.97' and '29.97 DF', but not '24' and '23.976'."""
    return _number(one) == _number(other)


def advanced(timecode: str, frames: int, rate: str) -> str:
    """The timecode so many frames later (or earlier); it wraps around at midnight."""
    found = _TEXT.fullmatch(timecode)
    if found is None:
        raise BridgeError(f"expected a timecode such as 01:00:00:00, got '{timecode}'; check the clip")
    hours, minutes, seconds, mark, frame = found.groups()
    drop = mark == ";"
    nominal = nominal_rate(rate)
    number = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * nominal + int(frame)
    if drop:
        number -= _dropped(nominal) * (int(hours) * 60 + int(minutes) - (int(hours) * 60 + int(minutes)) // 10)
    return _text(number + frames, nominal, drop)


def _number(rate: str) -> float:
    found = _RATE.match(rate)
    return float(found.group(1)) if found else 0.0


def _text(number: int, nominal: int, drop: bool) -> str:
    if drop:
        lost = _dropped(nominal)
        in_minute, in_ten = nominal * 60 - lost, nominal * 600 - lost * 9
        number %= in_ten * 144
        tens, rest = divmod(number, in_ten)
        # The first minute of ten keeps all its numbers.
        number += lost * (9 * tens + (max(0, rest - lost) // in_minute))
    number %= nominal * 86400
    seconds, frame = divmod(number, nominal)
    return "{:02d}:{:02d}:{:02d}{}{:02d}".format(
        seconds // 3600, seconds // 60 % 60, seconds % 60, ";" if drop else ":", frame
    )


def _dropped(nominal: int) -> int:
    """Frame numbers dropped in every minute but each tenth: 2 of 30, 4 of 60."""
    return nominal // 15
