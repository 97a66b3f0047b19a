"""Ranges, names of files, fingerprints, arguments, colour spaces: the parts that need neither host nor process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from impasto.core.colour.space import plate_space
from impasto.core.frame import Frame
from impasto.core.media.frame_list import parse_frame_list
from impasto.hosts.bridge.colour import SPACES, space_of
from impasto.hosts.bridge.digest import digest_of, digest_of_file
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import files_of, for_view, frame_path, frames_present, to_printf
from impasto.hosts.bridge.ranges import FrameList, FrameSpan, ranges_text, spans
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.server_paths import SharedFolder


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1001-1003", [1001, 1002, 1003]),
        ("7", [7]),
        ("-5--3", [-5, -4, -3]),
        ("1-9x4, 2", [1, 2, 5, 9]),
        ("1-9:4 5", [1, 5, 9]),
        ("5,1,3", [1, 3, 5]),
    ],
)
def test_a_list_is_read_as_the_command_reads_it(text: str, numbers: list[int]) -> None:
    frames = FrameList.parse(text)
    assert (frames.numbers(), frames.count, frames.first, frames.last) == (
        numbers, len(numbers), numbers[0], numbers[-1],
    )  # fmt: skip
    for written in (text, frames.text()):
        runs = parse_frame_list(written)
        assert [number for run in runs for number in range(run.first, run.last + 1)] == numbers
    assert frames.missing(numbers[1:]) == [FrameSpan(numbers[0], numbers[0])]


@pytest.mark.parametrize("text", ["", "a-b", "1,,b", "5-1", "1-9x0", "1-", "1-1000000", "9" * 30, "1-" + "9" * 30])
def test_what_is_no_list_is_an_error(text: str) -> None:
    with pytest.raises(BridgeError, match="expected"):
        FrameList.parse(text)


def test_one_range_is_written_as_ever() -> None:
    """The fingerprint of a painted node holds it."""
    assert (FrameList.of(1001, 1010).text(), FrameList.of(7, 7).text()) == ("1001-1010", "7-7")


def test_missing_frames_are_named_as_ranges() -> None:
    missing = FrameSpan(1001, 1010).missing([1001, 1005, 1010, 2000])
    assert missing == [FrameSpan(1002, 1004), FrameSpan(1006, 1009)]
    assert ranges_text(missing) == "1002-1004, 1006-1009"
    assert ranges_text(spans([1, 3, 5, 7, 9])) == "1, 3, 5, 7, …"
    assert FrameSpan(10, 20).overlaps(FrameSpan(20, 28))
    assert not FrameSpan(10, 20).overlaps(FrameSpan(21, 28))


@pytest.mark.parametrize(
    ("pattern", "printf", "file"),
    [
        ("/a/p.####.exr", "/a/p.%04d.exr", "/a/p.0007.exr"),
        ("/a/p.%06d.exr", "/a/p.%06d.exr", "/a/p.000007.exr"),
        ("/a/p.%d.exr", "/a/p.%d.exr", "/a/p.7.exr"),
        ("/a#1/p_#.exr", "/a#1/p_%d.exr", "/a#1/p_7.exr"),
    ],
)
def test_a_pattern_is_written_as_each_program_likes_it(pattern: str, printf: str, file: str) -> None:
    assert (to_printf(pattern), frame_path(pattern, 7)) == (printf, file)


def test_a_name_without_a_number_is_no_pattern() -> None:
    with pytest.raises(BridgeError, match="expected a place for the frame number"):
        frame_path("/a/p.exr", 1)


def test_a_view_takes_its_place_in_the_pattern() -> None:
    assert for_view("/a/%V/p_%v.%04d.exr", "left") == "/a/left/p_l.%04d.exr"


def test_only_whole_files_of_the_pattern_are_present(tmp_path: Path) -> None:
    for name in ("p.0001.exr", "p.0003.exr", "p.00004.exr", "q.0002.exr", "p.0005.exr.part", "p.12345.exr"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "p.0006.exr").write_bytes(b"")
    assert sorted(frames_present(str(tmp_path / "p.%04d.exr"))) == [1, 3, 12345]
    assert frames_present(str(tmp_path / "nowhere" / "p.%04d.exr")) == {}


def test_the_files_of_a_name_without_a_number_are_itself(tmp_path: Path) -> None:
    for name in ("p.0002.exr", "p.0001.exr", "still.exr"):
        (tmp_path / name).write_bytes(b"x")
    assert files_of(str(tmp_path / "still.exr")) == [str(tmp_path / "still.exr")]
    assert files_of(str(tmp_path / "gone.exr")) == []
    assert [Path(path).name for path in files_of(str(tmp_path / "p.####.exr"))] == ["p.0001.exr", "p.0002.exr"]


def test_a_fingerprint_knows_values_and_not_their_order() -> None:
    assert digest_of({"a": 1, "b": [1.5, "é"]}) == digest_of({"b": [1.5, "é"], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    assert len(digest_of({})) == 16


def test_a_fingerprint_of_files_knows_contents_and_not_times(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"x" * (3 << 20))
    second.write_bytes(b"x" * (3 << 20))
    os.utime(second, (1, 1))
    assert digest_of_file(str(first)) == digest_of_file(str(second))
    second.write_bytes(b"x" * (3 << 20) + b"y")
    assert digest_of_file(str(first)) != digest_of_file(str(second))


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("work=/mnt/work", "/mnt/work/a/p.%04d.exr", "work:a/p.%04d.exr"),
        ("work = /mnt/work/", "/mnt/work/p.exr", "work:p.exr"),
        ("w=P:\\work", "P:\\work\\a\\p.exr", "w:a/p.exr"),
        ("all=/", "/a.exr", "all:a.exr"),
    ],
)
def test_a_file_is_named_for_a_remote_server(text: str, path: str, name: str) -> None:
    assert SharedFolder.parse(text).name_of(path) == name


@pytest.mark.parametrize("path", ["/mnt/workshop/p.exr", "/mnt/work/../p.exr", "p.exr"])
def test_a_file_that_a_remote_server_cannot_see_is_an_error(path: str) -> None:
    with pytest.raises(BridgeError, match="expected a file below '/mnt/work', which the server shares"):
        SharedFolder.parse("work=/mnt/work").name_of(path)


@pytest.mark.parametrize("text", ["", "work", "=/mnt", "work="])
def test_what_names_no_shared_folder_is_an_error(text: str) -> None:
    with pytest.raises(BridgeError, match="expected the folder that this machine shares with the server as NAME="):
        SharedFolder.parse(text)


def test_settings_become_the_words_of_the_command(tmp_path: Path) -> None:
    render = RenderArguments(
        "p.####.exr", "o.####.exr", "wheatfield", FrameList.of(1, 9), {"exposure": -1.0}, {"stroke": {2: 1.5, 1: 1}},
        input_space="-ACEScg", server="tcp://a:1",
    )  # fmt: skip
    file = render.store_animation(tmp_path / "deep" / "a.json")
    assert file is not None
    assert json.loads(file.read_text()) == {"stroke": {"1": 1.0, "2": 1.5}}
    assert render.words(file) == [
        "render", "p.####.exr", "o.####.exr", "--style=wheatfield", "--frames=1-9", "--exposure=-1.0",
        f"--animate={file}", "--input-space=-ACEScg", "--server=tcp://a:1", "--resume",
    ]  # fmt: skip
    assert RenderArguments("a", "b", "c", FrameList.of(1, 1)).store_animation(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("word", "space"),
    [
        ("linear", "lin_rec709"),
        ("ACES - ACEScg", "ACEScg"),
        ("scene_linear (ACES - ACEScg)", "ACEScg"),
        ("Utility - Linear - sRGB", "lin_rec709"),
        ("ACES2065-1", "ACES2065-1"),
    ],
)
def test_a_host_s_name_of_a_space_is_understood(word: str, space: str) -> None:
    assert space_of(word, where="the settings") == space


@pytest.mark.parametrize("word", ["", "Studio Log", "scene_linear", "linear (Studio Log)"])
def test_an_unknown_space_is_not_guessed(word: str) -> None:
    with pytest.raises(BridgeError, match="expected a colour space that impasto knows in the settings, got"):
        space_of(word, where="the settings")


@pytest.mark.parametrize("space", SPACES)
def test_every_space_that_is_offered_exists(space: str) -> None:
    import numpy as np

    assert plate_space(Frame.from_pixels(np.zeros((1, 1, 3), np.float16)), space)
