"""The frame rate of a movie survives the way through stills, and a rate that is assumed is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core.media import open_reader, open_writer
from impasto.core.media.frame_rate import parse_rate
from tests.core.media.builders import frame_of, noise, shot_of, write_movie, write_with_oiio
from tests.core.media.test_movies import copy


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "dpx", "exr"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(50)])
def test_the_rate_goes_through_stills_into_a_movie(tmp_path: Path, extension: str, rate: Fraction) -> None:
    write_movie(tmp_path / "a.mov", [np.full((32, 48), 100, np.uint8)] * 3, rate=rate)
    copy(tmp_path / "a.mov", tmp_path / f"b.####.{extension}")
    copy(tmp_path / f"b.####.{extension}", tmp_path / f"c.####.{extension}")
    copy(tmp_path / f"c.####.{extension}", tmp_path / "d.mov")
    assert open_reader(str(tmp_path / f"b.####.{extension}")).info.rate == rate
    assert open_reader(str(tmp_path / "d.mov")).info.rate == rate


@pytest.mark.parametrize("source", ["png", "jpg", "tif", "dpx"])
@pytest.mark.parametrize("result", ["png", "jpg", "tif", "dpx", "exr"])
def test_the_rate_goes_from_one_format_to_another(tmp_path: Path, source: str, result: str) -> None:
    write_movie(tmp_path / "a.mov", [np.full((32, 48), 100, np.uint8)] * 2, rate=Fraction(30000, 1001))
    copy(tmp_path / "a.mov", tmp_path / f"b.####.{source}")
    copy(tmp_path / f"b.####.{source}", tmp_path / f"c.####.{result}")
    assert open_reader(str(tmp_path / f"c.####.{result}")).info.rate == Fraction(30000, 1001)


def test_the_rate_is_no_provenance(tmp_path: Path) -> None:
    write_movie(tmp_path / "a.mov", [np.full((32, 48), 100, np.uint8)] * 2, rate=Fraction(25))
    copy(tmp_path / "a.mov", tmp_path / "b.####.png")
    assert next(iter(open_reader(str(tmp_path / "b.####.png")))).provenance == {}


def test_a_rate_that_is_assumed_is_said(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "a.mp4"), shot_of("plate.####.png"))
    with writer:
        writer.write(frame_of(noise(32, 48, 3, np.uint8), "uint8"))
    assert writer.notes == ("'plate.####.png' states no frame rate: the movie plays at 24 frames per second",)
    assert open_reader(str(tmp_path / "a.mp4")).info.rate == 24


@pytest.mark.parametrize("text", ["a", "0", "-25", "1/0", "1e9", ""])
def test_what_is_no_rate_is_none(text: str) -> None:
    assert parse_rate(text) is None


@pytest.mark.parametrize(
    ("text", "rate"), [("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)), ("25", 25), ("12.5", 12.5)]
)
def test_a_number_is_taken_as_the_broadcast_rate_that_it_rounds(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


def test_a_nested_note_is_no_provenance(tmp_path: Path) -> None:
    software = 'impasto {"a":' + "[" * 20000
    write_with_oiio(tmp_path / "a.tif", noise(8, 8, 3, np.uint8), "uint8", {"Software": software})
    assert next(iter(open_reader(str(tmp_path / "a.tif")))).provenance == {}


@pytest.mark.parametrize("extension", ["png", "exr"])
def test_a_rate_that_takes_the_place_of_a_stated_one_is_said_once(tmp_path: Path, extension: str) -> None:
    write_movie(tmp_path / "a.mov", [np.full((32, 48), 100, np.uint8)] * 3, rate=Fraction(30000, 1001))
    copy(tmp_path / "a.mov", tmp_path / f"b.####.{extension}")
    path = str(tmp_path / f"b.####.{extension}")
    notes = {rate: [note for frame in open_reader(path, rate=rate) for note in frame.notes] for rate in RATES}
    assert notes[RATES[0]] == [f"'{path}' states 29.97 frames per second: 24 takes their place"]
    assert notes[RATES[1]] == []
    write_with_oiio(tmp_path / "c.0001.png", noise(8, 8, 3, np.uint8), "uint8")
    assert next(iter(open_reader(str(tmp_path / "c.####.png"), rate=Fraction(24)))).notes == ()


RATES = (Fraction(24), Fraction(30000, 1001))
