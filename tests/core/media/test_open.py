"""Which reader or writer a path stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.core.errors import UnreadableMedia, UnsupportedMedia, UsageError
from impasto.core.media import FrameRange, open_reader, open_writer, target_of
from tests.core.media.builders import movie_facts, shot_of


@pytest.mark.parametrize("path", ["nothing.exr", "nothing.mov", "nothing.####.png"])
def test_a_missing_input_is_unreadable(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnreadableMedia, match="check"):
        open_reader(str(tmp_path / path))


def test_an_unknown_extension_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "a.doc").touch()
    with pytest.raises(UnsupportedMedia, match=r"\.dpx, \.exr"):
        open_reader(str(tmp_path / "a.doc"))


@pytest.mark.parametrize("path", ["camera:0", "rtsp://somewhere/live"])
def test_a_live_source_takes_no_range(path: str) -> None:
    with pytest.raises(UsageError, match="leave out --frames"):
        open_reader(path, frames=FrameRange(1, 2))


def test_a_camera_needs_a_number() -> None:
    with pytest.raises(UsageError, match="camera:0"):
        open_reader("camera:front")


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(UsageError, match="name the input"):
        open_reader("")


def test_a_result_of_unknown_kind_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mov"):
        open_writer(str(tmp_path / "a.doc"), shot_of())


def test_a_movie_kind_that_is_only_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov, \.mkv"):
        open_writer(str(tmp_path / "a.mxf"), shot_of())


def test_a_movie_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.####\.exr"):
        open_writer(str(tmp_path / "a.mov"), shot_of(), resume=True)


def test_overwriting_and_resuming_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got both"):
        open_writer(str(tmp_path / "a.####.exr"), shot_of(), resume=True, overwrite=True)


@pytest.mark.parametrize(
    ("source", "pixel_format", "result", "space", "samples"),
    [
        ("plate.####.exr", None, "out.####.exr", "scene_linear", "half"),
        ("plate.####.exr", None, "out.####.png", "display", "uint16"),
        ("plate.####.exr", None, "out.mov", "display", "uint10"),
        ("plate.####.png", None, "out.####.exr", "scene_linear", "half"),
        ("plate.####.png", None, "out.mp4", "display", "uint8"),
        ("plate.####.dpx", None, "out.####.dpx", "display", "uint10"),
        ("clip.mov", "yuv420p", "out.####.exr", "scene_linear", "half"),
        ("clip.mov", "yuv422p10le", "out.mov", "display", "uint10"),
        ("clip.mov", "yuv420p", "out.####.jpg", "display", "uint8"),
        ("clip.mov", "yuv420p", "out.####.hdr", "scene_linear", "float"),
    ],
)
def test_a_target_says_what_it_wants(
    tmp_path: Path, source: str, pixel_format: str | None, result: str, space: str, samples: str
) -> None:
    facts = movie_facts(pixel_format=pixel_format) if pixel_format else None
    shot = shot_of(source, count=5, kind="movie" if facts else "sequence", movie=facts)
    target = target_of(str(tmp_path / result), shot)
    assert (target.space_default, target.samples) == (space, samples)
    assert target.layers == result.endswith(".exr")
