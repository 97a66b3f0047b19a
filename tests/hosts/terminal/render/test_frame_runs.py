"""Every second frame, and frames by list: one run of the command, whatever the gaps."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.hosts.terminal.exit_codes import USAGE
from tests.hosts.terminal.conftest import Impasto, names

STYLE = ("--style", "identity")


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [("1001-1006x2", [1001, 1003, 1005]), ("1001,1004-1005", [1001, 1004, 1005]), ("1002-1006:4", [1002, 1006])],
)
def test_the_frames_of_a_list_are_painted_as_one_run(
    frames: str, numbers: list[int], sequence: str, impasto: Impasto, served: Impasto
) -> None:
    for run, folder in ((impasto, "here"), (served, "there")):
        done = run("render", sequence, f"{folder}/o.####.exr", *STYLE, "--frames", frames, "--json")
        assert done.code == 0, done.out
        kinds = [event["event"] for event in done.events if event["event"] != "warning"]
        assert kinds == ["started", *["frame"] * len(numbers), "finished"]
        assert (done.events[0]["frames"], done.events[0]["first"]) == (len(numbers), numbers[0])
        told = [(event["number"], event["done"]) for event in done.events if event["event"] == "frame"]
        assert told == list(zip(numbers, range(1, len(numbers) + 1), strict=True))
        assert done.events[-1]["frames"] == len(numbers)
        assert names(Path(folder)) == [f"o.{number}.exr" for number in numbers]


def test_frames_between_those_of_a_list_may_be_missing(sequence: str, movie: str, impasto: Impasto) -> None:
    Path(sequence.replace("####", "1002")).unlink()
    assert impasto("render", sequence, "o/o.####.exr", *STYLE, "--frames", "1001-1006x2").code == 0
    assert impasto("render", movie, "m/o.####.png", *STYLE, "--frames", "2,5").code == 0
    assert names(Path("m")) == ["o.0002.png", "o.0005.png"]


def test_a_list_is_resumed(sequence: str, impasto: Impasto) -> None:
    arguments = ("render", sequence, "o/o.####.exr", *STYLE, "--resume", "--json")
    assert impasto(*arguments, "--frames", "1001,1003").code == 0
    done = impasto(*arguments, "--frames", "1001-1006x2")
    assert (done.events[-1]["frames"], done.events[-1]["skipped"]) == (1, 2)


def test_a_movie_has_no_gaps(movie: str, impasto: Impasto) -> None:
    done = impasto("render", movie, "o.mp4", *STYLE, "--frames", "1-6x2")
    assert (done.code, len(done.err.splitlines())) == (USAGE, 1)
    assert "write a sequence such as painted.####.exr" in done.err
    assert not Path("o.mp4").exists()
    assert impasto("render", movie, "o.mp4", *STYLE, "--frames", "2,3,4").code == 0
