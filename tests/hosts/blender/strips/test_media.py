"""What a strip shows, and whether the server can read it itself: plain facts, without Blender."""

from __future__ import annotations

from dataclasses import replace

import pytest

from impasto.hosts.blender.strips.media import (
    SourcePlan,
    StripFacts,
    movie_speed,
    picture_path,
    runs_of,
    sequence_of,
    source_mode,
)

MOVIE = StripFacts(
    "clip", "movie", 10, 10, 34, 24, media=("/media/clip.mov",), movie_frames=24, movie_rate=24.0, size=(64, 48)
)
FILES = tuple(f"/media/plate.{number}.exr" for number in range(1001, 1009))
MANY_GAPS = tuple(f"/media/a.{2 * number:04}.exr" for number in range(70))
PICTURES = StripFacts("plates", "image", 1, 1, 9, 8, media=FILES, space="Linear Rec.709", alpha="PREMUL")


def planned(facts: StripFacts) -> SourcePlan:
    plan = source_mode(facts)
    assert isinstance(plan, SourcePlan), plan
    return plan


def test_a_movie_counts_from_one() -> None:
    assert planned(MOVIE).numbers == tuple(range(1, 25))
    assert planned(MOVIE).space == "srgb"


def test_a_hard_cut_shifts_the_numbers() -> None:
    cut = replace(MOVIE, cut_first=5, cut_last=3, length=16)
    assert planned(cut).numbers == tuple(range(6, 22))


def test_a_movie_of_another_rate_repeats_frames_as_blender_does() -> None:
    # Seen in Blender 4.5.15 and 5.0.1: a movie of 24 in a scene of 30 frames a second.
    faster = replace(MOVIE, scene_rate=30.0, length=30)
    shown = [0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 10, 11, 12, 13, 14, 14, 15, 16, 17, 18, 18, 19, 20, 21, 22, 22, 23]
    assert [number - 1 for number in planned(faster).numbers] == shown
    slower = replace(MOVIE, scene_rate=12.0, length=12)
    assert [number - 1 for number in planned(slower).numbers] == list(range(0, 24, 2))


def test_a_movie_that_does_not_keep_its_rate_goes_frame_by_frame() -> None:
    assert movie_speed(replace(MOVIE, scene_rate=30.0)) == 1.0
    assert movie_speed(replace(MOVIE, scene_rate=30.0, length=30)) == pytest.approx(0.8)


def test_a_length_that_tells_no_speed_is_rendered() -> None:
    assert source_mode(replace(MOVIE, length=50)) == "its length does not tell at which speed it plays"


def test_backwards_and_in_steps() -> None:
    # Seen in Blender: of 24 frames backwards; every other frame twice.
    assert planned(replace(MOVIE, reversed=True)).numbers == tuple(range(24, 0, -1))
    assert planned(replace(MOVIE, strobe=2.0)).numbers[:4] == (1, 1, 3, 3)


def test_pictures_bear_their_own_numbers() -> None:
    plan = planned(PICTURES)
    assert plan.input == "/media/plate.####.exr"
    assert plan.numbers == tuple(range(1001, 1009))
    assert plan.space == "lin_rec709"


def test_pictures_with_a_gap_are_a_sequence_still() -> None:
    few = replace(PICTURES, media=(FILES[0], FILES[3], FILES[7]), length=3)
    assert planned(few).numbers == (1001, 1004, 1008)


def test_outside_of_the_content_the_outermost_picture_stands() -> None:
    plan = planned(MOVIE)
    assert [plan.number_at(frame, 10) for frame in (-5, 10, 33, 99)] == [1, 1, 24, 24]


@pytest.mark.parametrize(
    ("facts", "because"),
    [
        (replace(MOVIE, kind="meta"), "it is a meta strip"),
        (replace(MOVIE, altered=("it is retimed",)), "it is retimed"),
        (replace(MOVIE, space="Filmic sRGB"), "its colour space 'Filmic sRGB' is Blender's own"),
        (replace(MOVIE, has_alpha=True), "its movie has alpha, which Blender and the server read differently"),
        (replace(MOVIE, media=("/media/clip.gif",)), "the server reads no '.gif' movies"),
        (replace(PICTURES, alpha="STRAIGHT"), "its alpha is read in another way than its files say"),
        (replace(PICTURES, media=("/m/a.tga", "/m/b.tga")), "the server and Blender do not read .tga pictures alike"),
        (replace(PICTURES, media=("/m/one.exr", "/m/two.exr")), "its pictures are not one numbered sequence"),
        (replace(PICTURES, media=MANY_GAPS), "its pictures have more than 64 gaps"),
    ],
)  # fmt: skip
def test_a_reason_is_given_where_the_server_cannot_read(facts: StripFacts, because: str) -> None:
    assert source_mode(facts) == because


@pytest.mark.parametrize(
    "names",
    [
        ("/m/a.0001.exr", "/n/a.0002.exr"),
        ("/m/a.0001.exr", "/m/b.0002.exr"),
        ("/m/a.01.exr", "/m/a.002.exr"),
        ("/m/a#.0001.exr", "/m/a#.0002.exr"),
    ],
)
def test_what_the_server_would_spell_otherwise_is_no_sequence(names: tuple[str, ...]) -> None:
    assert sequence_of(names) is None


def test_a_name_and_its_number_belong_together() -> None:
    for name in ("/m/a.0001.exr", "/m/a.-0012.exr", "/m/shot7_12345.exr"):
        found = sequence_of((name,))
        assert found is not None
        pattern, (number,) = found
        assert picture_path(pattern, number) == name


def test_numbers_fall_into_runs() -> None:
    assert runs_of((5, 3, 4, 4, 9, 8, 1)) == (range(1, 2), range(3, 6), range(8, 10))
