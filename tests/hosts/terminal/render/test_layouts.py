"""`impasto render --projection` and `--stereo`: spheres and two eyes, here, through the server and from memory."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.server.client import Client
from tests.bench.eyes import sphere
from tests.hosts.terminal.conftest import Impasto

STYLE = ("--style", "wheatfield-draft")


def write(path: str, frame: Frame) -> str:
    with open_writer(path, ShotInfo("", "still", 1, 1, frame.width, frame.height)) as writer:
        writer.write(frame)
    return path


def read(path: str) -> Frame:
    with open_reader(path) as reader:
        return next(iter(reader))


def sphere_frame() -> Frame:
    return Frame.from_pixels(sphere(256).astype(np.float16), number=1)


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_the_server_paints_the_sphere_of_a_file_and_of_a_host_as_the_engine_does(
    runtime: Path, served: Impasto
) -> None:
    plate = write("sphere.exr", replace(sphere_frame(), projection="equirectangular"))
    wanted = Engine("wheatfield-draft", device="cpu")(sphere_frame(), FrameSettings(projection="equirectangular"))
    try:
        assert served("render", plate, "painted.exr", *STYLE).code == 0
        with Client.connect(start=False) as client:
            asked = client.submit(sphere_frame().colour, style="wheatfield-draft", projection="equirectangular")
            assert np.array_equal(asked.result(30).pixels, wanted.colour)
    finally:
        served("stop")
    painted = read("painted.exr")
    assert np.array_equal(painted.colour, wanted.colour)
    assert painted.projection == "equirectangular"


def test_a_picture_that_says_nothing_is_asked_about_once_and_painted_as_it_was(impasto: Impasto) -> None:
    plate = write("plain.exr", sphere_frame())
    done = impasto("render", plate, "flat.exr", *STYLE, "--json")
    notes = [json.dumps(event) for event in done.events if "give --projection equirectangular" in json.dumps(event)]
    assert (done.code, len(notes)) == (0, 1)
    assert np.array_equal(read("flat.exr").colour, Engine("wheatfield-draft", device="cpu")(sphere_frame()).colour)


def test_another_layout_is_rendered_again_on_resume(impasto: Impasto) -> None:
    write("plate.0001.exr", sphere_frame())

    def rendered(*arguments: str) -> int:
        done = impasto("render", "plate.####.exr", "o.####.exr", *STYLE, "--resume", "--json", *arguments)
        assert done.code == 0
        return sum(event["event"] == "frame" for event in done.events)

    assert [rendered(), rendered(), rendered("--projection", "equirectangular")] == [1, 0, 1]


def test_a_mono_picture_and_a_file_without_views_are_usage_errors_and_leave_nothing(impasto: Impasto) -> None:
    plate = write("plain.exr", sphere_frame())
    for stereo, said in (("sbs", "expected two eyes side by side"), ("views", "expected a left and a right view")):
        done = impasto("render", plate, "o.exr", *STYLE, "--stereo", stereo)
        assert (done.code, said in done.err) == (USAGE, True)
    assert not Path("o.exr").exists()
