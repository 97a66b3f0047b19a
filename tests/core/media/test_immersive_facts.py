"""What files state of spheres and of two eyes is read, and states the same in the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core.frame import Attribute, Frame
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.media.immersive_facts import stated_in_picture
from tests.plates import noise, soft_noise

SPHERE = ("equirectangular", "")


def written(path: Path, *frames: Frame, source: ShotInfo | None = None) -> tuple[str, ...]:
    """Write frames, and answer the writer's notes."""
    first = frames[0]
    kind = "movie" if path.suffix in (".mp4", ".mov", ".mkv") else "still"
    info = source or ShotInfo("", kind, first.number, len(frames), first.width, first.height)
    with open_writer(str(path), info) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.notes


def read(path: Path) -> list[Frame]:
    with open_reader(str(path)) as reader:
        return list(reader)


def frame_of(number: int = 1, *, projection: str = "equirectangular", stereo: str = "", dtype: str = "uint8") -> Frame:
    pixels = soft_noise(32, 64, seed=number)
    stored = (pixels * 255).astype(dtype) if dtype == "uint8" else pixels.astype(dtype)
    return replace(Frame.from_pixels(stored, number=number), projection=projection, stereo=stereo)


@pytest.mark.parametrize(("name", "dtype"), [("sphere.exr", "float16"), ("sphere.jpg", "uint8")])
def test_a_sphere_in_a_picture_is_one_when_it_is_read_and_written_again(tmp_path: Path, name: str, dtype: str) -> None:
    assert not written(tmp_path / name, frame_of(dtype=dtype))
    (again,) = read(tmp_path / name)
    assert (again.projection, again.stereo) == SPHERE
    other = tmp_path / f"again_{name}"
    assert not written(other, again)
    assert read(other)[0].projection == "equirectangular"
    assert "that it is a sphere" in written(tmp_path / "sphere.png", again)[0]


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize(("projection", "stereo"), [SPHERE, ("equirectangular", "ou"), ("", "sbs")])
def test_a_movie_states_its_sphere_and_its_eyes_and_plays_as_before(
    tmp_path: Path, ending: str, projection: str, stereo: str
) -> None:
    plain, told = tmp_path / f"plain.{ending}", tmp_path / f"told.{ending}"
    written(plain, *(frame_of(number, projection="") for number in range(1, 6)))
    notes = written(told, *(frame_of(number, projection=projection, stereo=stereo) for number in range(1, 6)))
    assert not [note for note in notes if "players" in note]
    frames = read(told)
    assert {(each.projection, each.stereo) for each in frames} == {(projection, stereo)}
    for one, other in zip(frames, read(plain), strict=True):
        assert np.array_equal(one.colour, other.colour)
    again = tmp_path / f"again.{ending}"
    with open_reader(str(told)) as reader:
        written(again, *reader, source=reader.info)
    assert read(again)[0].projection == projection


def test_a_movie_that_cannot_state_it_says_so(tmp_path: Path) -> None:
    notes = written(tmp_path / "sphere.mkv", frame_of(1), frame_of(2))
    assert any("that players show it as a sphere" in note for note in notes)
    (note,) = written(tmp_path / "pair.png", frame_of(projection="", stereo="sbs"))
    assert "where its two eyes are" in note


def test_a_part_of_a_sphere_and_other_maps_are_named_and_flat() -> None:
    def text(**facts: object) -> dict[str, Attribute]:
        return {f"GPano:{name}": Attribute("string", value) for name, value in facts.items()}

    part = text(ProjectionType="equirectangular", FullPanoWidthPixels=800, CroppedAreaImageWidthPixels=400)
    assert stated_in_picture(part) == ("", "the picture shows 400 of the 800 pixels of a sphere's width: painted flat")
    assert stated_in_picture(text(ProjectionType="cylindrical"))[0] == ""
    cube = {"textureformat": Attribute("string", "CubeFace Environment")}
    assert "painted flat" in stated_in_picture(cube)[1]
    assert stated_in_picture({}) == ("", "")


def test_the_picture_of_a_plain_file_states_nothing(tmp_path: Path) -> None:
    written(tmp_path / "plain.exr", Frame.from_pixels(noise(16, 32).astype(np.float16), number=1))
    (frame,) = read(tmp_path / "plain.exr")
    assert (frame.projection, frame.stereo) == ("", "")
