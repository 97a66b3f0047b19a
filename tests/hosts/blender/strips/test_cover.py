"""Which frames of a strip are painted, and which picture each of them shows. Without Blender."""

from __future__ import annotations

import pytest

from impasto.hosts.blender.strips.cover import Cover, cover_of, shown_pictures
from impasto.hosts.blender.strips.media import SourcePlan, StripFacts

FACTS = StripFacts("clip", "movie", 10, 13, 30, 24)
SOURCE = SourcePlan("/media/clip.mov", "srgb", tuple(range(1, 25)))


def test_a_cover_is_what_is_shown() -> None:
    cover = cover_of(FACTS, SOURCE, None, 0)
    assert (cover.first, cover.end) == (13, 30)
    assert cover.numbers == tuple(range(4, 21))


def test_handles_end_where_the_content_ends() -> None:
    cover = cover_of(FACTS, SOURCE, None, 5)
    assert (cover.first, cover.end) == (10, 34)
    assert (cover.shown_first, cover.shown_end) == (13, 30)


def test_a_strip_that_stands_still_beyond_its_content_is_covered_whole() -> None:
    still = StripFacts("clip", "movie", 10, 5, 40, 24)
    cover = cover_of(still, SOURCE, None, 8)
    assert (cover.first, cover.end) == (5, 40)
    assert cover.numbers[:6] == (1,) * 6
    assert cover.holds


def test_a_range_cuts_what_is_shown() -> None:
    cover = cover_of(FACTS, SOURCE, range(20, 100), 0)
    assert (cover.shown_first, cover.shown_end) == (20, 30)
    assert cover_of(FACTS, SOURCE, range(100, 120), 0).numbers == ()


def test_rendered_pictures_are_numbered_from_the_contents_beginning() -> None:
    assert cover_of(FACTS, None, None, 0).numbers[0] == 4


def test_a_picture_looks_as_where_it_is_first_seen() -> None:
    assert Cover(5, 5, 9, (7, 7, 8, 7)).frame_of_number == {7: 5, 8: 7}


def test_a_failed_picture_shows_its_nearest_neighbour() -> None:
    cover = Cover(1, 1, 6, (1, 2, 3, 4, 5))
    assert shown_pictures(cover, frozenset({1, 2, 5})) == (1, 2, 2, 5, 5)
    with pytest.raises(ValueError, match="no picture was painted"):
        shown_pictures(cover, frozenset())
