"""What decides how live frames look, where they lie, and which of them go when the disk is full."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from impasto.hosts.blender.fingerprints import file_stamp
from impasto.hosts.blender.live.frames import LiveFrames, LivePlate, live_strip, one_colour_png, trim
from impasto.hosts.blender.look.look import Look

EXR = b"\x76\x2f\x31\x01 and more"
PLATE = LivePlate("plate.####.exr", first=1001, count=10, begins=21, shown_from=18, shown_to=40)
LOOK = Look("wheatfield", {"strength": 1.0, "stroke": 2.0}, "sha")


@pytest.mark.parametrize(
    ("frame", "number"), [(17, None), (18, 1001), (21, 1001), (22, 1002), (30, 1010), (40, 1010), (41, None)]
)
def test_a_strip_holds_its_outermost_frames_and_shows_nothing_beside_itself(frame: int, number: int | None) -> None:
    assert PLATE.number_at(frame) == number


def test_a_trimmed_strip_shows_a_part_of_its_media() -> None:
    assert replace(PLATE, shown_from=23, shown_to=25).numbers == range(1003, 1006)
    assert PLATE.frame_of(1003) == 23


def folder_of(look: Look = LOOK, plate: LivePlate = PLATE) -> Path:
    return live_strip("a", plate, look.at_full_strength(), Path("/live")).frames.folder


@pytest.mark.parametrize(
    "change",
    [
        {"style": "identity"}, {"style_state": "other"}, {"matte": "m.png"},
        {"params": {"strength": 1.0, "stroke": 1.9}}, {"animated": {"stroke": {1001: 1.0, 1002: 2.0}}},
    ],
)  # fmt: skip
def test_frames_of_another_look_lie_elsewhere(change: dict[str, Any]) -> None:
    assert folder_of(replace(LOOK, **change)) != folder_of()


@pytest.mark.parametrize("change", [{"input": "other"}, {"space": "ACEScg"}])
def test_frames_of_other_media_lie_elsewhere(change: dict[str, Any]) -> None:
    assert folder_of(plate=replace(PLATE, **change)) != folder_of()


def test_frames_of_media_and_mattes_that_were_rendered_anew_lie_elsewhere(tmp_path: Path) -> None:
    plate, look = replace(PLATE, input=str(tmp_path / "plate.mov")), replace(LOOK, matte=str(tmp_path / "matte.png"))
    folders = {folder_of(look, plate)}
    for name in ("plate.mov", "matte.png"):
        (tmp_path / name).write_bytes(b"anew")
        folders.add(folder_of(look, plate))
    assert len(folders) == 3


def test_looks_that_a_slider_cannot_tell_apart_share_their_frames_at_any_strength_and_place() -> None:
    again = Look("wheatfield", {"stroke": 2.0000001, "strength": 0.3}, "sha", {"strength": {1001: 0.0, 1002: 1.0}})
    assert folder_of(again) == folder_of()
    assert folder_of(plate=replace(PLATE, begins=5, shown_to=30)) == folder_of()


def test_an_animated_look_has_its_own_parameters_for_each_frame() -> None:
    values = {1001: {"stroke": 1.0, "detail": 0.2}, 1002: {"stroke": 1.5, "detail": 0.2}}
    look = replace(LOOK, params={"stroke": 9.0, "detail": 0.2}).animated_by(values)
    assert {number: look.params_at(number) for number in values} == values
    assert list(look.animated) == ["stroke"]
    assert look.at(1002) == replace(LOOK, params=values[1002])


def test_only_a_whole_painted_frame_is_there(tmp_path: Path) -> None:
    frames = LiveFrames(tmp_path)
    frames.path_of(1).write_bytes(EXR)
    frames.path_of(2).write_bytes(b"")
    frames.mark(3, 8, 4)
    assert frames.missing(range(1, 5)) == [2, 3, 4]


def test_a_mark_goes_and_a_painted_frame_stays(tmp_path: Path) -> None:
    frames = LiveFrames(tmp_path)
    frames.mark(1, 8, 4)
    frames.path_of(2).write_bytes(EXR)
    frames.unmark(1)
    frames.unmark(2)
    frames.unmark(3)
    assert [path.name for path in tmp_path.iterdir()] == [frames.path_of(2).name]


def test_a_run_ends_where_a_frame_is_there_already(tmp_path: Path) -> None:
    frames = LiveFrames(tmp_path)
    frames.path_of(5).write_bytes(EXR)
    assert frames.run_from(2, 20) == 4
    assert frames.run_from(6, 20, longest=8) == 13
    assert frames.run_from(6, 9) == 9


def test_a_mark_is_a_sound_picture_of_one_colour() -> None:
    found = cv2.imdecode(np.frombuffer(one_colour_png(300, 20, (255, 0, 128)), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    assert found.shape == (20, 300, 3)
    assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [[255, 0, 128]]


def test_a_stamp_changes_when_a_sequence_is_rendered_anew(tmp_path: Path) -> None:
    files = [tmp_path / f"plate.{number:04d}.exr" for number in range(1, 41)]
    for file in files:
        file.write_bytes(b"one")
    before = file_stamp(str(tmp_path / "plate.####.exr"))
    assert file_stamp(str(tmp_path / "plate.####.exr")) == before
    for file in files:
        file.write_bytes(b"another")
    again = file_stamp(str(tmp_path / "plate.####.exr"))
    assert again != before
    (tmp_path / "plate.0041.exr").write_bytes(b"another")
    assert file_stamp(str(tmp_path / "plate.####.exr")) not in (before, again)
    assert file_stamp(str(tmp_path / "none.mov")) == ""


def test_the_oldest_frames_go_first_and_those_on_screen_last(tmp_path: Path) -> None:
    shown, old = LiveFrames(tmp_path / "shown"), LiveFrames(tmp_path / "old")
    for age, (frames, number) in enumerate(((shown, 1), (shown, 2), (old, 1), (old, 2))):
        frames.folder.mkdir(exist_ok=True)
        frames.path_of(number).write_bytes(bytes(100))
        os.utime(frames.path_of(number), (1000 + age, 1000 + age))
    assert trim(tmp_path, 300, {shown.folder}) == 1
    assert not old.path_of(1).exists()
    assert trim(tmp_path, 150, {shown.folder}) == 2
    assert not old.folder.exists()
    assert [path.name for path in shown.folder.iterdir()] == [shown.path_of(2).name]
    assert trim(tmp_path, 150, {shown.folder}) == 0
