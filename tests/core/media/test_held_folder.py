"""Files in a folder that is held open: read and written there, whatever its name leads to meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import MediaError, OutputError
from impasto.core.frame import Frame, Part, Window, find_layer
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.media.commit import require_room
from impasto.core.media.held_folder import held_path, name_to_open, real_path
from impasto.core.media.picture_reader import read_parts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are paths on Linux alone")
PICTURES = ("exr", "png", "tif", "dpx", "jpg", "hdr", "ppm")
MOVIES = ("mp4", "m4v", "mov", "mkv", "avi", "webm")
OWN, OTHER = 32, 200


@dataclass(frozen=True)
class Swapped:
    """A folder that is held open, and another one that its name leads to."""

    fd: int
    folder: Path
    moved: Path
    other: Path

    def path(self, name: str) -> str:
        return held_path(self.fd, name)


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[Swapped]:
    folder, moved, other = (tmp_path / name for name in ("folder", "moved", "other"))
    for each in (folder, other):
        each.mkdir()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    folder.rename(moved)
    folder.symlink_to(other)
    yield Swapped(fd, folder, moved, other)
    os.close(fd)


def write(path: str, value: int) -> str:
    """Three grey frames; where they are."""
    with open_writer(path, ShotInfo("", "sequence", 1, 3, 32, 16), overwrite=True) as writer:
        for number in (1, 2, 3):
            writer.write(Frame.from_pixels(np.full((16, 32, 3), value, np.uint8), number=number))
    return writer.path


def grey(path: str) -> list[int]:
    """The grey of each frame on a scale of 255."""
    with open_reader(path) as reader:
        frames = [frame.colour for frame in reader]
    scales = {"f": 255.0, "u": 255.0 / (np.iinfo(frames[0].dtype).max if frames[0].dtype.kind == "u" else 1)}
    return [round(float(frame.astype(np.float64).mean()) * scales[frame.dtype.kind]) for frame in frames]


@pytest.mark.parametrize("name", [*(f"x.####.{each}" for each in PICTURES), *(f"x.{each}" for each in MOVIES)])
def test_results_and_plates_are_in_the_folder_that_is_held(name: str, swapped: Swapped) -> None:
    write(str(swapped.other / name), OTHER)
    before = {each.name: each.stat().st_mtime_ns for each in swapped.other.iterdir()}
    assert write(swapped.path(name), OWN) == swapped.path(name)
    assert {each.name: each.stat().st_mtime_ns for each in swapped.other.iterdir()} == before
    assert sorted(each.name for each in swapped.moved.iterdir()) == sorted(before)
    assert grey(swapped.path(name)) == pytest.approx([OWN] * 3, abs=3)
    assert grey(str(swapped.folder / name)) == pytest.approx([OTHER] * 3, abs=3)


def test_a_frame_is_known_by_where_its_folder_is(swapped: Swapped) -> None:
    write(swapped.path("x.####.png"), OWN)
    with open_reader(swapped.path("x.####.png")) as reader:
        assert next(iter(reader)).source == str(swapped.moved / "x.0001.png")
    assert real_path("here.png") == os.path.abspath("here.png")


def test_exact_integers_are_written_into_the_folder_that_is_held(swapped: Swapped) -> None:
    pixels = np.zeros((8, 8, 2), np.float64)
    pixels[..., 1] = 2**24 + 1
    part = Part(pixels, ("Y", "id"), ("half", "uint"), Window(0, 0, 8, 8), Window(0, 0, 8, 8))
    with open_writer(swapped.path("x.exr"), ShotInfo("", "still", 1, 1, 8, 8)) as writer:
        writer.write(Frame((part,), find_layer((part,)), number=1))
    assert [each.name for each in swapped.moved.iterdir()] == ["x.exr"]
    assert read_parts(swapped.path("x.exr"))[0].pixels[0, 0, 1] == 2**24 + 1


def plant(what: str, at: Path, other: Path) -> None:
    """Put something at a path that is no plain file of one name."""
    at.unlink(missing_ok=True)
    match what:
        case "link":
            at.symlink_to(other)
        case "hard link":
            os.link(other, at)
        case "pipe":
            os.mkfifo(at)


@pytest.mark.parametrize("what", ["link", "hard link", "pipe"])
@pytest.mark.parametrize("name", ["x.0001.png", "x.mp4"])
def test_a_name_that_became_a_link_is_not_read(name: str, what: str, swapped: Swapped) -> None:
    secret = write(str(swapped.other / name.replace("0001", "####")), OTHER).replace("####", "0001")
    plant(what, swapped.moved / name, Path(secret))
    with pytest.raises(MediaError), open_reader(swapped.path(name)) as reader:
        next(iter(reader))


@pytest.mark.parametrize("what", ["link", "hard link", "pipe"])
def test_a_name_that_became_a_link_is_not_written(what: str, swapped: Swapped) -> None:
    secret = swapped.other / "secret"
    secret.write_bytes(b"mine")
    plant(what, swapped.moved / "x.png", secret)
    with pytest.raises(OSError, match=r"plain file|symbolic links"), name_to_open(swapped.path("x.png"), write=True):
        pass
    with pytest.raises(OutputError, match=r"x\.png"):
        require_room(swapped.path("x.png"), swapped.path("x.png"), 1000)
    assert secret.read_bytes() == b"mine"
