"""What a bake is to do: pictures, folders, and what is there already. Without Blender."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from impasto.hosts.blender.bake.plan import (
    FRAMES_AT_ONCE,
    LONGEST_SLUG,
    Cover,
    Look,
    cover_of,
    file_of,
    frame_of_number,
    holds,
    look_folder,
    shot_runs,
    shown_pictures,
    slug_of,
    source_folder,
    take_over,
)
from impasto.hosts.blender.strips.media import SourcePlan, StripFacts

FACTS = StripFacts("clip", "movie", 10, 13, 30, 24)
SOURCE = SourcePlan("/media/clip.mov", "srgb", tuple(range(1, 25)))
LOOK = Look("wheatfield", "abc", {"strength": 1.0, "exposure": 0.0})


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
    assert holds(cover)


def test_a_range_cuts_what_is_shown() -> None:
    cover = cover_of(FACTS, SOURCE, range(20, 100), 0)
    assert (cover.shown_first, cover.shown_end) == (20, 30)
    assert cover_of(FACTS, SOURCE, range(100, 120), 0).numbers == ()


def test_rendered_pictures_are_numbered_from_the_contents_beginning() -> None:
    assert cover_of(FACTS, None, None, 0).numbers[0] == 4


def test_a_picture_looks_as_where_it_is_first_seen() -> None:
    assert frame_of_number(Cover(5, 5, 9, (7, 7, 8, 7))) == {7: 5, 8: 7}


def test_shot_jobs_are_without_gaps_and_not_too_long() -> None:
    runs = shot_runs([*range(1, FRAMES_AT_ONCE + 3), 5000])
    assert runs == (range(1, FRAMES_AT_ONCE + 1), range(FRAMES_AT_ONCE + 1, FRAMES_AT_ONCE + 3), range(5000, 5001))


@pytest.mark.parametrize("name", ["clip", "a/b:c*?", "schön % 01", "....", "#@%", "x" * 300, "日本" * 40])
def test_a_slug_is_one_plain_name(name: str) -> None:
    slug = slug_of(name)
    assert slug
    assert not set("/\\:*?#@%.") & set(slug)
    assert len(slug.encode()) <= LONGEST_SLUG


def test_another_look_has_another_folder_and_the_same_look_the_same() -> None:
    numbers = range(1, 5)
    brighter = Look("wheatfield", "abc", {"strength": 1.0, "exposure": 1.0})
    retrained = Look("wheatfield", "abd", dict(LOOK.params))
    parent = Path("/frames/clip")
    folders = {look_folder(parent, each, numbers) for each in (LOOK, brighter, retrained)}
    assert len(folders) == 3
    assert look_folder(parent, Look("wheatfield", "abc", dict(LOOK.params)), numbers) in folders


def test_strips_cut_from_the_same_media_share_their_frames() -> None:
    root = Path("/frames")
    assert source_folder(root, SOURCE) == source_folder(root, SourcePlan(SOURCE.input, SOURCE.space, (9, 10)))
    assert source_folder(root, SOURCE) != source_folder(root, SourcePlan(SOURCE.input, "lin_rec709", (9, 10)))


def test_pictures_that_look_the_same_are_taken_over_from_another_look(tmp_path: Path) -> None:
    numbers = (1, 2, 3, 4)
    first = Look("wheatfield", "abc", {"strength": 0.0}, {"strength": {1: 0.0, 2: 0.5, 3: 1.0, 4: 1.0}})
    second = Look("wheatfield", "abc", {"strength": 0.0}, {"strength": {1: 0.0, 2: 0.5, 3: 0.7, 4: 0.2}})
    folders = [look_folder(tmp_path, each, numbers) for each in (first, second)]
    assert take_over(folders[0], "clip", first, numbers) == 0
    for number in numbers:
        (folders[0] / file_of("clip", number)).write_text(f"{number}")
    assert take_over(folders[1], "clip", second, numbers) == 2
    assert sorted(each.name for each in folders[1].glob("*.exr")) == ["clip.0001.exr", "clip.0002.exr"]
    assert os.path.samefile(folders[0] / "clip.0001.exr", folders[1] / "clip.0001.exr")


def test_looks_that_cannot_be_read_are_no_obstacle(tmp_path: Path) -> None:
    moving = Look("s", "", {"strength": 0.0}, {"strength": {1: 0.0, 2: 1.0}})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "looks.json").write_text("{not json")
    assert take_over(tmp_path / "mine", "clip", moving, (1, 2)) == 0


def test_a_failed_picture_shows_its_nearest_neighbour() -> None:
    cover = Cover(1, 1, 6, (1, 2, 3, 4, 5))
    assert shown_pictures(cover, frozenset({1, 2, 5})) == (1, 2, 2, 5, 5)
    with pytest.raises(ValueError, match="no picture was painted"):
        shown_pictures(cover, frozenset())
