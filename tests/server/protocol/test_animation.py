"""Animated parameters on their way: small enough, the same to the bit, and checked where they arrive."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.animation import Animation, animation_of
from impasto.core.errors import UnknownName, UsageError
from impasto.core.params import PARAMETERS
from impasto.server.protocol import limits
from impasto.server.protocol.animation import animated_from, animated_of, animation_from, require_sendable_animation
from impasto.server.protocol.codec import FROM_CLIENT, Malformed, decode, encode, encode_link
from impasto.server.protocol.messages import AnimatedParameter, RenderSettings, ShotJob, Stretch, SubmitShot
from impasto.server.protocol.worker_messages import RunShot

SHOT = SubmitShot(b"i" * 16, ShotJob(RenderSettings("a"), "/i" * 2048, "/o" * 2048, matte="/m" * 2048))
"""With paths of the longest kind."""


def with_animated(animated: tuple[AnimatedParameter, ...]) -> SubmitShot:
    return replace(SHOT, job=replace(SHOT.job, animated=animated))


def carried(animation: Animation) -> Animation:
    """The animation as it arrives."""
    shot, _ = decode(encode(with_animated(animated_from(animation))), FROM_CLIENT)
    assert isinstance(shot, SubmitShot)
    found = animation_from(shot.job.animated)
    assert found is not None
    return found


def one(name: str, *stretches: Stretch) -> tuple[AnimatedParameter, ...]:
    return (AnimatedParameter(name, stretches),)


@given(st.dictionaries(st.integers(-3000, 3000), st.sampled_from([0.0, 0.1, 0.25, 1.0]), min_size=1, max_size=40))
def test_every_frame_has_the_same_value_to_the_bit(keys: dict[int, float]) -> None:
    (sent,) = animation_of({"strength": keys}).tracks
    (came,) = carried(animation_of({"strength": keys})).tracks
    assert [came.at(frame) for frame in range(-3100, 3100)] == [sent.at(frame) for frame in range(-3100, 3100)]


def test_a_thousand_frames_of_every_parameter_fit_into_a_header_and_between_front_and_worker() -> None:
    draw = random.Random(4)
    keys = {
        each.name: {frame: draw.uniform(each.minimum, each.maximum) for frame in range(1001, 2001)}
        for each in PARAMETERS[:5]
    }
    animation = animation_of(keys)
    assert carried(animation) == animation
    encode_link(RunShot(with_animated(animated_from(animation)), "/s" * 2048, 1))


def test_a_value_that_stays_takes_no_room() -> None:
    held = animation_of({"strength": dict.fromkeys(range(1, 50001), 0.75)})
    assert len(carried(held).tracks[0].frames) == 2


def test_keys_far_apart_are_filled_in_where_a_list_cannot_hold_them() -> None:
    keys = {frame: float(frame % 3 == 0) for frame in range(0, 300 * 9, 9)}
    (sent,), (came,) = animation_of({"strength": keys}).tracks, carried(animation_of({"strength": keys})).tracks
    assert len(sent.frames) > limits.ARRAY_ITEMS
    assert [came.at(frame) for frame in range(2800)] == [sent.at(frame) for frame in range(2800)]


@pytest.mark.parametrize(("step", "count"), [(1, 7000), (10_000, 7000), (1 << 20, 300)])
def test_more_than_a_header_holds_is_refused_with_what_to_do(step: int, count: int) -> None:
    animated = animated_of({"strength": {frame * step: math.sin(frame) ** 2 for frame in range(count)}})
    with pytest.raises(UsageError, match="render the shot in ranges with --frames"):
        require_sendable_animation(animated)


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_shot_that_is_not_sent_has_as_many_values_as_it_likes(step: int) -> None:
    keys = {frame * step: math.sin(frame) ** 2 for frame in range(2000)}
    animation = animation_of({"strength": keys})
    assert animation_from(animated_from(animation)) == animation


@pytest.mark.parametrize(
    ("animated", "said"),
    [
        (one("strength", Stretch(7, pack("<2d", 0.5, 1.5))), "strength between 0 and 1 at frame 8, got 1.5"),
        (one("strength", Stretch(7, pack("<d", math.nan))), "at frame 7, got nan"),
        (one("strength", Stretch(7, pack("<2d", 0, 1)), Stretch(8, pack("<d", 1))), "got frame 8 after 8"),
        (one("strength"), "give at least one key"),
        (one("strength", Stretch((1 << 31) - 1, pack("<2d", 0, 1))), "got 2147483648"),
        (one("strength", Stretch(1, pack("<d", 1))) * 2, "keys of strength once"),
    ],
)
def test_what_arrives_and_cannot_be_is_named(animated: tuple[AnimatedParameter, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        animation_from(animated)


def test_a_parameter_that_this_server_does_not_have_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'stroke'"):
        animation_from(one("strokes", Stretch(1, pack("<d", 1))))


@pytest.mark.parametrize("values", [b"", b"1234567", b"x" * (limits.BLOB_BYTES + 8), "text", 0.5])
def test_values_that_are_no_whole_numbers_of_floats_are_malformed(values: object) -> None:
    shot = with_animated(one("strength", Stretch(1, values)))  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(Malformed):
        decode(encode(shot), FROM_CLIENT)


def test_nothing_animated_is_nothing() -> None:
    assert animation_from(()) is None
