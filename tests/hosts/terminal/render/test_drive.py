"""`impasto drive` and `--drive`: sound into an animation file, into a render, into a farm job."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from impasto.core.media import open_reader
from impasto.hosts.terminal.exit_codes import USAGE
from tests.core.drive.recordings import clicks, tone, write_sound, write_sounding_movie
from tests.hosts.terminal.conftest import Impasto

LOOK = ("--style", "wheatfield-draft")


@pytest.fixture
def music(own_folder: None) -> str:
    return str(write_sound(Path("music.wav"), np.concatenate((np.zeros(6000), tone(100, 0.25)))))


def test_the_file_that_is_written_renders_what_the_option_renders(sequence: str, music: str, impasto: Impasto) -> None:
    driver = f"strength={music}:bass*.5+.2"
    done = impasto("drive", sequence, driver, "-o", "beat.json", "--rate", 24)
    assert (done.code, done.out) == (0, "beat.json: strength from 0.2 to 0.7 on 6 frames\n")
    values = json.loads(Path("beat.json").read_text())["strength"]
    assert (values["1001"], values["1006"]) == (0.2, 0.7)
    rate = ("--rate", 24, "--local")
    assert impasto("render", sequence, "a.####.exr", *LOOK, *rate, "--drive", driver).code == 0
    assert impasto("render", sequence, "b.####.exr", *LOOK, *rate, "--animate", "beat.json").code == 0
    for one, other in zip(pictures("a.####.exr"), pictures("b.####.exr"), strict=True):
        np.testing.assert_array_equal(one, other)
    plain = impasto("render", sequence, "c.####.exr", *LOOK, *rate, "--strength", 0.7)
    assert plain.code == 0
    np.testing.assert_array_equal(pictures("a.####.exr")[-1], pictures("c.####.exr")[-1])


def test_what_a_range_renders_is_what_the_whole_renders(music: str, impasto: Impasto) -> None:
    write_sounding_movie(Path("m.mov"), clicks((0.2,), 1), 12)
    driver = ("--drive", "strength=audio:onset", "--local")
    assert impasto("render", "m.mov", "whole.####.png", *LOOK, *driver).code == 0
    assert impasto("render", "m.mov", "part.####.png", *LOOK, *driver, "--frames", "5-7").code == 0
    np.testing.assert_array_equal(pictures("part.####.png")[1], pictures("whole.####.png")[5])


def test_an_existing_file_is_replaced_only_when_asked(sequence: str, music: str, impasto: Impasto) -> None:
    Path("beat.json").write_text("mine")
    command = ("drive", sequence, f"strength={music}:bass", "-o", "beat.json")
    assert impasto(*command).code == USAGE
    assert Path("beat.json").read_text() == "mine"
    assert impasto(*command, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--drive", "strenght=music.wav:bass"), "did you mean 'strength'"),
        (("--drive", "strength=music.wav:base"), "did you mean 'bass'"),
        (("--drive", "strength=nowhere.wav:bass"), "'nowhere.wav'"),
        (("--drive", "strength=audio:bass"), "it has none; name a file with --sound"),
        (("--drive", "strength=music.wav:bass", "--strength", 1, "--rate", 24), "strength as --strength or in --drive"),
        (("--drive", "strength"), "a driver such as"),
    ],
)
def test_what_cannot_drive_is_one_sentence(
    options: tuple[object, ...], said: str, sequence: str, music: str, impasto: Impasto
) -> None:
    done = impasto("render", sequence, "o.####.exr", *LOOK, "--local", *options)
    assert (done.code != 0, done.err.count("\n")) == (True, 1)
    assert said in done.err
    assert not Path("o.1001.exr").exists()


def test_silence_is_said(sequence: str, music: str, impasto: Impasto) -> None:
    write_sound(Path("silence.wav"), np.zeros(48_000))
    done = impasto("render", sequence, "o.####.exr", *LOOK, "--local", "--drive", "stroke=silence.wav:bass+1", "--json")
    assert any("is silent" in str(event.get("message")) for event in done.events)


def test_a_farm_job_carries_the_values_and_not_the_sound(sequence: str, music: str, impasto: Impasto) -> None:
    pytest.importorskip("openjd.model")
    done = impasto("submit", sequence, "out/o.####.exr", *LOOK, "--drive", f"strength={music}:bass*.5+.2", "--job", "j")
    assert done.code == 0, done.err
    assert json.loads(Path("j/animation.json").read_text())["strength"]["1006"] == 0.7
    template = Path("j/template.yaml").read_text()
    assert ("--animate" in template, "music.wav" in template, "--drive" in template) == (True, False, False)


def test_a_sheet_shows_the_curve_above(sequence: str, music: str, impasto: Impasto) -> None:
    impasto("drive", sequence, f"strength={music}:bass*.5+.2", "-o", "beat.json")
    assert impasto("sheet", sequence, sequence, "plain.png").code == 0
    assert impasto("sheet", sequence, sequence, "curve.png", "--animate", "beat.json").code == 0
    (plain,), (curve,) = pictures("plain.png"), pictures("curve.png")
    np.testing.assert_array_equal(curve[-len(plain) :], plain)
    strip = curve[: -len(plain)].astype(int)
    drawn = np.argwhere((strip[..., 0] - strip[..., 2]) > 80)
    first, last = (drawn[np.abs(drawn[:, 1] - at).argmin(), 0] for at in (200, 1800))
    assert first > last + 40  # the value rises


def pictures(path: str) -> list[np.ndarray]:
    with open_reader(path) as reader:
        return [frame.colour for frame in reader]
