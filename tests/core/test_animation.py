"""Keys of parameters, and the values of the frames between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.animation import KEYFRAMES, Animation, Track, animation_of
from impasto.core.errors import UnknownName, UsageError
from impasto.core.params import Params

UNIT = st.floats(0, 1)


def test_between_two_keys_a_value_goes_in_a_straight_line() -> None:
    track = Track("strength", (1001, 1011), (0.0, 1.0))
    assert [track.at(frame) for frame in (1001, 1002, 1006, 1011)] == [0.0, 0.1, 0.5, 1.0]


def test_before_the_first_key_and_after_the_last_the_value_stays() -> None:
    track = Track("exposure", (-3, 5), (-1.5, 2.0))
    assert (track.at(-(1 << 31)), track.at(1 << 30)) == (-1.5, 2.0)


@given(st.dictionaries(st.integers(-500, 500), UNIT, min_size=1, max_size=9), st.integers(-600, 600))
def test_a_value_never_leaves_its_keys_and_a_key_has_its_own(keys: dict[int, float], frame: int) -> None:
    (track,) = animation_of({"strength": keys}).tracks
    assert min(keys.values()) <= track.at(frame) <= max(keys.values())
    assert [track.at(key) for key in keys] == list(keys.values())


@given(UNIT, st.integers(2, 1000))
def test_between_equal_keys_nothing_changes_by_a_bit(value: float, last: int) -> None:
    track = Track("detail", (0, last), (value, value))
    assert {track.at(frame) for frame in range(last)} == {value}


def test_what_has_no_track_stays_as_it_is() -> None:
    animation = animation_of({"stroke": {1: 1.0, 3: 2.0}})
    assert animation.params(2, Params(strength=0.25)) == Params(strength=0.25, stroke=1.5)


def test_keys_may_come_in_any_order() -> None:
    assert animation_of({"stroke": {9: 2.0, 1: 1.0}}).tracks[0].frames == (1, 9)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strength": {1001: 0.5, 1004: 1.5}}, "expected strength between 0 and 1 at frame 1004, got 1.5"),
        ({"stroke": {7: float("nan")}}, "stroke between 0.25 and 4 at frame 7, got nan"),
        ({"colour": {7: float("inf")}}, "colour between 0 and 1 at frame 7, got inf"),
        ({"detail": {}}, "give at least one key"),
        ({"detail": {1 << 31: 0.5}}, "got 2147483648 in detail"),
        ({"detail": dict.fromkeys(range(KEYFRAMES + 1), 0.5)}, "at most 100000 keys of detail"),
    ],
)
def test_what_cannot_be_is_named_by_parameter_frame_and_value(keys: dict[str, dict[int, float]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        animation_of(keys)


def test_a_parameter_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'strength'"):
        animation_of({"strenght": {1: 0.5}})


def test_a_parameter_has_one_track() -> None:
    track = Track("detail", (1,), (0.5,))
    with pytest.raises(UsageError, match="keys of detail once"):
        Animation((track, track))
    with pytest.raises(UsageError, match="frame 1 after 1"):
        Track("detail", (1, 1), (0.5, 0.5))
