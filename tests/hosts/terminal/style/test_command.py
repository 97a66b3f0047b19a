"""`impasto style`: show, compare, export."""

from __future__ import annotations

import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.card import card_from_json
from impasto.core.frame import Samples
from impasto.core.media import FrameRange, open_reader
from impasto.core.style_comparison import Findings
from impasto.core.style_file import find_style, read_card
from impasto.hosts.terminal.exit_codes import INPUT, INTERNAL, INTERRUPTED, STYLE, USAGE
from impasto.hosts.terminal.report import Reporter
from impasto.hosts.terminal.style import comparison, panels
from tests.core.media.test_orientation import SEEN, corners, write_turned
from tests.hosts.terminal.conftest import Impasto, names

DRAFT = "wheatfield-draft"


def test_a_card_can_be_read(impasto: Impasto) -> None:
    done = impasto("style", "show", DRAFT)
    card = read_card(find_style(DRAFT))
    assert done.code == 0
    for text in (card.title, card.licence, card.colour, str(card.halo), "draft", "Vincent van Gogh", "steps on"):
        assert text in done.out
    assert card.weights_sha256 in done.out
    assert card.preview[:40] not in done.out


def test_a_card_is_shown_by_path_too(impasto: Impasto) -> None:
    assert impasto("style", "show", find_style(DRAFT)).out == impasto("style", "show", DRAFT).out


def test_programs_get_the_whole_card(impasto: Impasto) -> None:
    import json

    shown, last = impasto("style", "show", DRAFT, "--json").events
    assert (shown["event"], shown["name"], last["event"]) == ("card", DRAFT, "finished")
    assert card_from_json(json.dumps(shown["card"]), "the event") == read_card(find_style(DRAFT))


def test_two_styles_become_a_movie_and_a_table(movie: str, impasto: Impasto) -> None:
    done = impasto("style", "compare", DRAFT, "identity", "--on", movie, "-o", "out/c.mp4", "--device", "cpu")
    assert done.code == 0, done.err
    for text in ("plate", DRAFT, "identity", "warp error", "sharpness", "out/c.mp4: 6 frames"):
        assert text in done.out
    with open_reader("out/c.mp4") as reader:
        assert (reader.info.frame_count, reader.info.rate) == (6, 24)
        frame = next(iter(reader))
    panel = frame.width // 3
    below = frame.colour[-20:].astype(int)
    plate, drafted, same = (below[:, column * (panel + 2) + 8 : (column + 1) * panel - 8] for column in range(3))
    assert np.abs(plate.mean((0, 1)) - same.mean((0, 1))).max() < 3
    assert np.abs(plate.mean((0, 1)) - drafted.mean((0, 1))).max() > 3


def test_programs_get_the_figures(sequence: str, impasto: Impasto) -> None:
    done = impasto("style", "compare", "identity", DRAFT, "--on", sequence, "--frames", "1002-1004", "--json")
    assert done.code == 0, done.out
    started, *frames, found, last = done.events
    assert [started["event"], found["event"], last["event"]] == ["started", "comparison", "finished"]
    assert [frame["number"] for frame in frames] == [1002, 1003, 1004]
    same, drafted = found["figures"]["first"], found["figures"]["second"]
    assert (same["sharpness"], same["lap_swd"], same["colour_distance"]) == (1, 0, 0)
    assert same["warp_error"] == found["plate"]["warp_error"]
    assert drafted["colour_distance"] > 1
    assert found["difference"]["colour_distance"] == drafted["colour_distance"]
    assert (last["output"], last["frames"]) == (None, 3)


def test_a_comparison_of_pictures_has_the_rate_that_was_asked_for(sequence: str, impasto: Impasto) -> None:
    one = ("style", "compare", "identity", "identity", "--on", sequence, "--frames", "1001-1002", "--json")
    asked = impasto(*one, "-o", "a.mov", "--rate", "30000/1001").events
    with open_reader("a.mov") as reader:
        assert reader.info.rate == Fraction(30000, 1001)
    assert not [event for event in asked if "states no frame rate" in event.get("message", "")]
    assumed = impasto(*one, "-o", "b.mov").events
    (said,) = [event["message"] for event in assumed if event["event"] == "warning"]
    assert said == f"'{sequence}' states no frame rate: the movie plays at 24 frames per second"
    done = impasto("style", "compare", "identity", "identity", "--on", sequence, "--rate", "fast")
    assert (done.code, "expected frames per second" in done.err) == (USAGE, True)


def test_frames_with_gaps_are_compared_and_no_motion_is_measured_across_them(sequence: str, impasto: Impasto) -> None:
    for number in (1003, 1005):
        Path(sequence.replace("####", str(number))).unlink()  # a sequence may lack what is not asked for

    def compared(frames: str) -> list[dict[str, Any]]:
        done = impasto("style", "compare", "identity", "identity", "--on", sequence, "--frames", frames, "--json")
        assert done.code == 0, done.out
        return done.events

    started, *frames, found, last = compared("1002-1006x2")
    assert ([frame["number"] for frame in frames], started["frames"], last["frames"]) == ([1002, 1004, 1006], 3, 3)
    assert found["plate"]["warp_error"] is None
    *_, found, _ = compared("1006, 1001-1002")
    assert found["plate"]["warp_error"] is not None


def test_every_second_frame_of_a_movie_is_compared(movie: str, impasto: Impasto) -> None:
    done = impasto(
        "style", "compare", "identity", "identity", "--on", movie, "-o", "gaps.mp4", "--frames", "1-6x2", "--json"
    )
    assert [event["number"] for event in done.events if event["event"] == "frame"] == [1, 3, 5]
    with open_reader("gaps.mp4") as reader:
        assert (reader.info.frame_count, reader.info.rate) == (3, 24)


def test_one_frame_has_no_warp_error(sequence: str, impasto: Impasto) -> None:
    one = sequence.replace("####", "1001")
    done = impasto("style", "compare", "identity", "identity", "--on", one, "-o", "c.mov")
    assert done.code == 0, done.err
    (row,) = (line for line in done.out.splitlines() if line.startswith("warp error "))
    assert row.split() == ["warp", "error", "n/a", "n/a", "n/a"]
    assert "1 frame in" in done.out
    *_, found, _ = impasto("style", "compare", "identity", "identity", "--on", one, "--json").events
    assert (found["plate"]["warp_error"], found["figures"]["first"]["warp_error"]) == (None, None)


def test_an_interrupted_comparison_keeps_what_it_made(
    movie: str, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare_styles, asked = comparison.compare_styles, itertools.count(1)

    def stop_after_two(plan: comparison.ComparisonPlan, reporter: Reporter, stopped: object) -> Findings:
        return compare_styles(plan, reporter, lambda: next(asked) == 2)

    monkeypatch.setattr("impasto.hosts.terminal.style.command.compare_styles", stop_after_two)
    done = impasto("style", "compare", "identity", "identity", "--on", movie, "-o", "c.mp4", "--json")
    assert done.code == INTERRUPTED
    last = done.events[-1]
    assert (last["event"], last["output"], last["frames"]) == ("cancelled", "c.partial.mp4", 2)
    with open_reader(last["output"]) as reader:
        assert reader.info.frame_count == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("compare", "identity", "wheatfeld", "--on", "{movie}"), USAGE, "did you mean 'wheatfield'?"),
        (("compare", "identity", "gone.safetensors", "--on", "{movie}"), STYLE, "gone.safetensors"),
        (("compare", "identity", "identity"), USAGE, "--on"),
        (("compare", "identity", "identity", "--on", "nowhere.mp4"), INPUT, "nowhere.mp4"),
        (("compare", "identity", "identity", "--on", "camera:0"), USAGE, "record it first"),
        (("compare", "identity", "identity", "--on", "{movie}", "-o", "c.png"), USAGE, "expected a movie"),
        (("compare", "identity", "identity", "--on", "{movie}", "-o", "{movie}"), USAGE, "never overwritten"),
        (("compare", "identity", "identity", "--on", "{movie}", "-o", "there.mp4"), USAGE, "there.mp4"),
        (("compare", "identity", "identity", "--on", "{movie}", "--frames", "9-3"), USAGE, "3-9"),
        (("compare", "identity", "identity", "--on", "{movie}", "--guides", "{movie}"), USAGE, "neither was"),
        (("show", "wheatfeld"), USAGE, "did you mean 'wheatfield'?"),
        (("show", "{movie}"), STYLE, "plate.mp4"),
        (("export", "wheatfeld", "--to", "onnx", "-o", "s.onnx"), USAGE, "did you mean 'wheatfield'?"),
        (("export", "identity", "--to", "onyx", "-o", "s.onnx"), USAGE, "did you mean 'onnx'?"),
        (("export", "identity", "--to", "onnx", "-o", "s.pt"), USAGE, "ends in .onnx"),
        (("export", "identity", "--to", "torchscript", "-o", "there.pt"), USAGE, "--overwrite"),
        (("export", "identity", "--to", "onnx", "-o", "s.onnx", "--light", "dim"), USAGE, "--light"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: tuple[str, ...], code: int, said: str, movie: str, impasto: Impasto, tmp_path: Path
) -> None:
    for name in ("there.mp4", "there.pt"):
        (tmp_path / name).write_bytes(b"mine")
    before = names(tmp_path)
    done = impasto("style", *(argument.format(movie=movie) for argument in arguments))
    assert done.code == code, done.err
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
    assert [name for name in names(tmp_path) if name != "state"] == before
    assert (tmp_path / "there.pt").read_bytes() == b"mine"


@pytest.mark.slow
def test_a_style_leaves_for_other_programs(impasto: Impasto) -> None:
    done = impasto("style", "export", "identity", "--to", "torchscript", "-o", "out/identity.pt", "--light", "linear")
    assert done.code == 0, done.err
    assert done.out.startswith("out/identity.pt: 1.6 MB, at most ")
    assert "colour: scene-linear Rec.709" in done.out
    told, last = impasto("style", "export", DRAFT, "--to", "onnx", "-o", "d.onnx", "--json").events
    assert (told["event"], told["format"], last["output"]) == ("exported", "onnx", "d.onnx")
    assert told["largest_difference"] < 1e-4
    assert told["facts"]["impasto.licence"] == read_card(find_style(DRAFT)).licence
    assert "Gogh" in told["facts"]["impasto.credits"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_names_the_extra_and_nothing_is_written(package: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from impasto.hosts.terminal.app import main; main()"
    command = [sys.executable, "-c", program, "style", "export", "identity", "--to", "onnx", "-o", "s.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == INTERNAL
    assert done.stderr == (
        f"impasto: expected the package '{package}', which is not installed; pip install 'impasto[export]'\n"
    )
    assert not Path("s.onnx").exists()


def test_frames_of_a_sequence_are_compared_in_its_own_colour(sequence: str) -> None:
    from impasto.core.display_picture import to_display

    with open_reader(sequence, frames=FrameRange(1001, 1001)) as reader:
        shown = to_display(next(iter(reader)))
    assert shown.dtype == np.float32
    assert shown.min() >= 0
    assert shown.max() == pytest.approx(1.055 * 0.55 ** (1 / 2.4) - 0.055, abs=2e-3)


@pytest.mark.parametrize("orientation", SEEN)
def test_styles_are_compared_the_way_up_in_which_a_movie_is_looked_at(
    tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    write_turned(tmp_path / "a.mov", orientation)
    shown: list[list[int]] = []

    page = panels.page

    def looked_at(pictures: tuple[Samples, ...], *arguments: Any) -> Samples:
        shown.extend(map(corners, pictures))
        return page(pictures, *arguments)

    monkeypatch.setattr(panels, "page", looked_at)
    done = impasto("style", "compare", "identity", "identity", "--on", tmp_path / "a.mov", "-o", "c.mp4")
    assert done.code == 0, done.err
    assert shown == [SEEN[orientation]] * 6
