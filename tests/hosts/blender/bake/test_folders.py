"""The folders of baked pictures, their names, and the pictures that looks share. Without Blender."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from impasto.hosts.blender.bake.folders import look_folder, source_folder, take_over
from impasto.hosts.blender.frame_files import LONGEST_SLUG, file_of, slug_of
from impasto.hosts.blender.look.look import Look
from impasto.hosts.blender.shot_job import FRAMES_AT_ONCE, shot_runs
from impasto.hosts.blender.strips.media import SourcePlan

SOURCE = SourcePlan("/media/clip.mov", "srgb", tuple(range(1, 25)))
LOOK = Look("wheatfield", {"strength": 1.0, "exposure": 0.0}, "abc")


@pytest.mark.parametrize("name", ["clip", "a/b:c*?", "schön % 01", "....", "#@%", "x" * 300, "日本" * 40])
def test_a_slug_is_one_plain_name(name: str) -> None:
    slug = slug_of(name)
    assert slug
    assert not set("/\\:*?#@%.") & set(slug)
    assert len(slug.encode()) <= LONGEST_SLUG


def test_another_look_has_another_folder_and_the_same_look_the_same() -> None:
    numbers = range(1, 5)
    brighter = Look("wheatfield", {"strength": 1.0, "exposure": 1.0}, "abc")
    retrained = Look("wheatfield", dict(LOOK.params), "abd")
    parent = Path("/frames/clip")
    folders = {look_folder(parent, each, numbers) for each in (LOOK, brighter, retrained)}
    assert len(folders) == 3
    assert look_folder(parent, Look("wheatfield", dict(LOOK.params), "abc"), numbers) in folders


def test_strips_cut_from_the_same_media_share_their_frames() -> None:
    root = Path("/frames")
    assert source_folder(root, SOURCE) == source_folder(root, SourcePlan(SOURCE.input, SOURCE.space, (9, 10)))
    assert source_folder(root, SOURCE) != source_folder(root, SourcePlan(SOURCE.input, "lin_rec709", (9, 10)))


def test_pictures_that_look_the_same_are_taken_over_from_another_look(tmp_path: Path) -> None:
    numbers = (1, 2, 3, 4)
    first = Look("wheatfield", {"strength": 0.0}, "abc", {"strength": {1: 0.0, 2: 0.5, 3: 1.0, 4: 1.0}})
    second = Look("wheatfield", {"strength": 0.0}, "abc", {"strength": {1: 0.0, 2: 0.5, 3: 0.7, 4: 0.2}})
    folders = [look_folder(tmp_path, each, numbers) for each in (first, second)]
    assert take_over(folders[0], "clip", first, numbers) == 0
    for number in numbers:
        (folders[0] / file_of("clip", number)).write_text(f"{number}")
    assert take_over(folders[1], "clip", second, numbers) == 2
    assert sorted(each.name for each in folders[1].glob("*.exr")) == ["clip.0001.exr", "clip.0002.exr"]
    assert os.path.samefile(folders[0] / "clip.0001.exr", folders[1] / "clip.0001.exr")


def test_looks_that_cannot_be_read_are_no_obstacle(tmp_path: Path) -> None:
    moving = Look("s", {"strength": 0.0}, "", {"strength": {1: 0.0, 2: 1.0}})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "looks.json").write_text("{not json")
    assert take_over(tmp_path / "mine", "clip", moving, (1, 2)) == 0


def test_shot_jobs_are_without_gaps_and_not_too_long() -> None:
    runs = shot_runs([*range(1, FRAMES_AT_ONCE + 3), 5000])
    assert runs == (range(1, FRAMES_AT_ONCE + 1), range(FRAMES_AT_ONCE + 1, FRAMES_AT_ONCE + 3), range(5000, 5001))
