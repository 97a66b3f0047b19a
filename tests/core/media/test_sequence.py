"""Stills and sequences as shots: ranges, gaps, sizes, names, resuming."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import InconsistentShot, OutputExists, UnreadableMedia, UsageError
from impasto.core.media import FrameRange, open_reader, open_writer, whole_mark
from impasto.core.media import sequence as sequence_module
from tests.core.media.builders import frame_of, layered_frame, leftovers, noise, shot_of, write_with_oiio


def sequence(folder: Path, numbers: range | list[int], size: tuple[int, int] = (6, 8)) -> str:
    for number in numbers:
        write_with_oiio(folder / f"plate.{number:04}.exr", noise(*size, 3, np.float16, seed=number + 1000), "half")
    return str(folder / "plate.####.exr")


def test_frames_come_in_order_with_their_numbers(tmp_path: Path) -> None:
    with open_reader(sequence(tmp_path, range(998, 1003))) as reader:
        assert (reader.info.first, reader.info.frame_count, reader.info.kind) == (998, 5, "sequence")
        assert (reader.info.width, reader.info.height) == (8, 6)
        assert [frame.number for frame in reader] == [998, 999, 1000, 1001, 1002]


def test_a_folder_is_its_sequence(tmp_path: Path) -> None:
    sequence(tmp_path, range(1, 4))
    assert open_reader(str(tmp_path)).info.path == str(tmp_path / "plate.####.exr")


def test_a_range_is_all_that_is_read(tmp_path: Path) -> None:
    path = sequence(tmp_path, range(1, 9))
    assert [frame.number for frame in open_reader(path, frames=FrameRange(3, 5))] == [3, 4, 5]


def test_a_gap_in_the_asked_range_is_named_at_once(tmp_path: Path) -> None:
    path = sequence(tmp_path, [1, 2, 5])
    with pytest.raises(InconsistentShot, match="missing 3-4"):
        open_reader(path)
    assert open_reader(path, frames=FrameRange(1, 2)).info.frame_count == 2


def test_a_range_outside_names_what_there_is(tmp_path: Path) -> None:
    path = sequence(tmp_path, range(1, 4))
    with pytest.raises(UsageError, match="expected a range within 1-3"):
        open_reader(path, frames=FrameRange(10, 12))


def test_a_pattern_without_files_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="number of digits"):
        open_reader(str(tmp_path / "plate.####.exr"))


def test_a_moving_data_window_is_one_shot(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "a.####.exr"), shot_of(count=3))
    wanted = [layered_frame(number) for number in (1, 2, 3)]
    for frame in wanted:
        writer.write(frame)
    found = list(open_reader(str(tmp_path / "a.####.exr")))
    assert [frame.part.data_window.x for frame in found] == [-2, -1, 0]
    for left, right in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(left.part.pixels, right.part.pixels)


def test_a_frame_of_another_size_is_inconsistent(tmp_path: Path) -> None:
    path = sequence(tmp_path, [1, 2])
    sequence(tmp_path, [3], size=(6, 9))
    with pytest.raises(InconsistentShot, match=r"expected frames of 8x6, got 9x6 in '.*0003\.exr'"):
        list(open_reader(path))


def test_a_still_bears_the_number_in_its_name(tmp_path: Path) -> None:
    sequence(tmp_path, [7])
    reader = open_reader(str(tmp_path / "plate.0007.exr"))
    assert (reader.info.kind, reader.info.first, reader.info.frame_count) == ("still", 7, 1)


def test_an_existing_output_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "out.0003.exr").touch()
    with pytest.raises(OutputExists, match="--overwrite, --resume"):
        open_writer(str(tmp_path / "out.####.exr"), shot_of(count=5))


def test_overwriting_replaces(tmp_path: Path) -> None:
    (tmp_path / "out.0001.exr").touch()
    writer = open_writer(str(tmp_path / "out.####.exr"), shot_of(count=1), overwrite=True)
    writer.write(frame_of(noise(4, 4, 3, np.float16), "half"))
    assert (tmp_path / "out.0001.exr").stat().st_size > 0


@pytest.mark.parametrize("spelling", ["plate.####.exr", "plate.%04d.exr", "../{name}/plate.@@@@.exr"])
def test_the_input_is_never_the_output(tmp_path: Path, spelling: str) -> None:
    path = sequence(tmp_path, range(1, 4))
    output = str(tmp_path / spelling.format(name=tmp_path.name))
    with pytest.raises(OutputExists, match="the input is never overwritten"):
        open_writer(output, open_reader(path).info, overwrite=True)


def test_the_input_under_a_link_is_never_the_output(tmp_path: Path) -> None:
    path = sequence(tmp_path, [1])
    (tmp_path / "other.0001.exr").symlink_to(tmp_path / "plate.0001.exr")
    writer = open_writer(str(tmp_path / "other.####.exr"), shot_of(path), overwrite=True)
    with pytest.raises(OutputExists, match="never overwritten"):
        writer.write(next(iter(open_reader(path))))


def test_many_frames_do_not_go_into_one_still(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"write to '.*out\.####\.exr'"):
        open_writer(str(tmp_path / "out.exr"), shot_of(count=2))


def test_a_folder_as_output_takes_the_name_of_the_input(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "painted"), shot_of("shots/plate.####.exr", count=3))
    assert writer.path == str(tmp_path / "painted" / "plate.####.exr")


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("shots/shot.v2.######.exr", "sequence", "shot.v2.######.exr"),
        ("shots/plate_#.png", "sequence", "plate_#.png"),
        ("shots/lantern.1001.exr", "still", "lantern.####.exr"),
        ("shots/lantern.exr", "still", "lantern.####.exr"),
        ("shots/clip.v2.mov", "movie", "clip.v2.####.png"),
        ("rtsp://camera/live?x=1", "stream", "live_x_1.####.png"),
    ],
)
def test_a_folder_as_output_keeps_names_and_digits(tmp_path: Path, path: str, kind: str, expected: str) -> None:
    writer = open_writer(str(tmp_path / "painted"), shot_of(path, first=1001, kind=kind))
    assert writer.path == str(tmp_path / "painted" / expected)


def test_resuming_skips_what_agrees_and_renders_the_rest(tmp_path: Path) -> None:
    path = str(tmp_path / "out.####.exr")
    first = open_writer(path, shot_of(count=3))
    first.write(frame_of(noise(4, 4, 3, np.float16), "half", number=1, provenance={"style": "a"}))
    first.write(frame_of(noise(4, 4, 3, np.float16), "half", number=2, provenance={"style": "b"}))

    def agrees(number: int, provenance: Mapping[str, str]) -> bool:
        return provenance.get("style") == "a" and number in (1, 2)

    again = open_writer(path, shot_of(count=3), resume=True, resume_check=agrees)
    assert [again.has(number) for number in (1, 2, 3)] == [True, False, False]
    again.write(frame_of(noise(4, 4, 3, np.float16), "half", number=2, provenance={"style": "a"}))
    assert again.has(2)


def test_resuming_without_a_check_asks_only_for_a_readable_file(tmp_path: Path) -> None:
    path = sequence(tmp_path, [1])
    (tmp_path / "plate.0002.exr").write_bytes(b"\x76\x2f\x31\x01 cut short")
    writer = open_writer(path, shot_of(count=2), resume=True)
    assert [writer.has(1), writer.has(2)] == [True, False]


def test_without_resume_no_frame_counts_as_finished(tmp_path: Path) -> None:
    path = sequence(tmp_path, [1])
    assert not open_writer(path, shot_of(count=1), overwrite=True).has(1)


def test_a_failed_frame_leaves_no_file(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "a.####.exr"), shot_of(count=1))
    (tmp_path / "a.0001.exr").mkdir()
    with pytest.raises(OutputExists):
        writer.write(frame_of(noise(4, 4, 3, np.float16), "half"))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("extension", ["exr", "png", "tif", "jpg", "dpx", "hdr", "ppm"])
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_resuming_does_not_keep_a_frame_that_is_cut_short(tmp_path: Path, extension: str, share: float) -> None:
    path = str(tmp_path / f"o.####.{extension}")
    with open_writer(path, shot_of(count=2)) as writer:
        for number in (1, 2):
            writer.write(frame_of(noise(64, 96, 3, np.uint8), "uint8", number=number))
    torn = tmp_path / f"o.0002.{extension}"
    stored = torn.read_bytes()
    torn.write_bytes(stored[: int(len(stored) * share)])
    again = open_writer(path, shot_of(count=2), resume=True)
    assert [again.has(1), again.has(2)] == [True, False]


def test_a_frame_that_was_decoded_once_is_not_decoded_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(sequence_module, "read_parts", lambda path: decoded.append(Path(path).name))
    path = str(tmp_path / "o.####.exr")
    open_writer(path, shot_of()).write(frame_of(noise(64, 96, 3, np.uint8), "uint8"))
    mine, copied = tmp_path / "o.0001.exr", tmp_path / "o.0002.exr"
    shutil.copy2(mine, copied)
    with suppress(OSError, AttributeError):  # as `rsync -X` would
        os.setxattr(copied, whole_mark.NAME, os.getxattr(mine, whole_mark.NAME))
    marked = whole_mark.is_marked_whole(str(mine))  # some file systems have no marks
    again = open_writer(path, shot_of(count=2), resume=True)
    assert (again.has(1), again.has(2)) == (True, True)
    assert decoded == ["o.0002.exr"] if marked else ["o.0001.exr", "o.0002.exr"], "a copy may be torn"
    decoded.clear()
    mine.write_bytes(mine.read_bytes())
    assert (again.has(1), again.has(2)) == (True, True)
    assert decoded == ["o.0001.exr"] if marked else ["o.0001.exr", "o.0002.exr"]


@pytest.mark.parametrize("extension", ["exr", "png"])
def test_resuming_does_not_keep_a_frame_with_a_hole(tmp_path: Path, extension: str) -> None:
    path = str(tmp_path / f"o.####.{extension}")
    open_writer(path, shot_of()).write(frame_of(noise(64, 96, 3, np.uint8), "uint8"))
    torn = tmp_path / f"o.0001.{extension}"
    stored = bytearray(torn.read_bytes())
    stored[len(stored) // 2 : len(stored) // 2 + 400] = bytes(400)
    torn.write_bytes(stored)
    assert not open_writer(path, shot_of(), resume=True).has(1)
