"""`impasto render` through the server: the same pictures, words and codes as in the process, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from impasto.core.generators.resunet import ResUNet, ResUNetConfig
from impasto.core.generators.unet import UNetConfig
from impasto.core.guides import Guide
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.style_file import find_style, load_style, save_style
from impasto.hosts.terminal.exit_codes import INTERRUPTED, SERVER, USAGE
from impasto.server.runtime_dir import running
from impasto.server.shots.output_lock import OutputLock
from tests.core.generators.test_unet import lively
from tests.core.media.builders import write_layers
from tests.core.test_engine import CARD
from tests.hosts.terminal.conftest import (
    HEIGHT,
    LIMIT_S,
    WIDTH,
    Impasto,
    names,
    outcome_with,
    picture,
    runtime_with_server,
    started,
)
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")

STYLE = ("--style", "identity")


def end(folder: Path) -> None:
    """End whatever server holds a folder."""
    owner = running(folder)
    if owner is not None:
        os.kill(owner.pid, signal.SIGTERM)
        until(lambda: running(folder) is None)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    """A runtime folder with a server, which the tests of this file share."""
    with runtime_with_server() as folder:
        yield folder


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder without a server; one that is started in it is ended."""
    with TemporaryDirectory(prefix="impasto-") as made:
        folder = Path(made) / "run"
        monkeypatch.setenv("IMPASTO_RUNTIME", str(folder))
        yield folder
        end(folder)


def frames_of(path: str) -> list[np.ndarray]:
    with open_reader(path) as reader:
        return [frame.colour for frame in reader]


def test_a_sequence_comes_out_as_in_the_process(sequence: str, served: Impasto, impasto: Impasto) -> None:
    arguments = ("render", sequence, "--style", "wheatfield-draft", "--strength", "0.5", "--after-gamma", "1.5")
    assert served(arguments[0], sequence, "there/o.####.exr", *arguments[2:]).code == 0
    assert impasto(arguments[0], sequence, "here/o.####.exr", *arguments[2:]).code == 0
    for there, here in zip(frames_of("there/o.####.exr"), frames_of("here/o.####.exr"), strict=True):
        assert np.array_equal(there, here)
    assert not np.array_equal(frames_of(sequence)[0], frames_of("there/o.####.exr")[0])


def test_one_of_several_styles_in_a_file_and_a_blend_come_out_as_in_the_process(
    sequence: str, served: Impasto, impasto: Impasto, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    net = ResUNet(ResUNetConfig(widths=(8, 12, 16), blocks=(0, 0, 1), styles=2, code_width=4))
    card = replace(load_style(find_style("identity")).card, name="many", generator="resunet", codes=("wave", "wheat"))
    path = tmp_path / "many.safetensors"
    save_style(path, card, net)
    pictures = []
    for choice in ("@wave", "@wheat", "@wave=0.2+wheat=0.8"):
        shot = ("render", sequence, "--style", f"{path}{choice}", "--resume")
        assert served(shot[0], sequence, "there/o.####.exr", *shot[2:]).code == 0
        assert impasto(shot[0], sequence, "here/o.####.exr", *shot[2:]).code == 0
        for there, here in zip(frames_of("there/o.####.exr"), frames_of("here/o.####.exr"), strict=True):
            assert np.array_equal(there, here)
        pictures.append(frames_of("there/o.####.exr")[0])
    # Each choice was painted anew over the one before it, which --resume would have kept.
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])
    wrong = served("render", sequence, "w.####.exr", "--style", f"{path}@waev")
    assert wrong.code != 0
    assert "did you mean 'wave'" in wrong.err


def test_guide_layers_of_another_sequence_reach_the_server_too(
    sequence: str, served: Impasto, impasto: Impasto
) -> None:
    guides = (Guide("normal.X", "normal"), Guide("depth.Z", "depth", 3.0))
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1), guides=2))
    save_style(Path("guided.safetensors"), replace(CARD, name="guided", guides=guides), net)
    for number in range(1001, 1007):
        slope = np.full((HEIGHT, WIDTH), (number - 1003) / 3, np.float32)
        write_layers(f"aov/n.{number}.exr", {"normal.X": slope})
        write_layers(f"aov/z.{number}.exr", {"depth.Z": slope + 2})
    style = ("--style", "guided.safetensors")
    with_both = ("--guides", "aov/n.####.exr", "--guides", os.path.abspath("aov/z.####.exr"))
    there, here = (
        call("render", sequence, f"{name}/o.####.exr", *style, *with_both)
        for call, name in ((served, "there"), (impasto, "here"))
    )
    assert (there.code, here.code) == (0, 0), there.err + here.err
    for one, other in zip(frames_of("there/o.####.exr"), frames_of("here/o.####.exr"), strict=True):
        assert np.array_equal(one, other)
    for call in (served, impasto):
        lacking = call("render", sequence, "less/o.####.exr", *style, *with_both[:2])
        assert lacking.code == USAGE
        assert "expected the guide channel 'depth.Z' that this style was trained with, frame 1001" in lacking.err
        gap = call("render", sequence, "less/o.####.exr", *style, "--guides", "aov/m.####.exr")
        assert "found none" in gap.err
        assert "'aov/m.####.exr'" in gap.err, "as it was typed"
        refused = call("render", sequence, "less/o.####.exr", *STYLE, *with_both)
        assert "'identity' was not; leave out --guides" in refused.err


def test_programs_are_told_the_same(sequence: str, served: Impasto, impasto: Impasto) -> None:
    def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        timed = {"fps", "remaining_s", "seconds", "stages"}
        return [{name: value for name, value in event.items() if name not in timed} for event in events]

    arguments = ("render", sequence, "out/o.####.exr", *STYLE, "--json")
    there = served(*arguments)
    for path in Path("out").iterdir():
        path.unlink()
    here = impasto(*arguments)
    assert told(there.events) == told(here.events)
    assert there.events[1]["path"] == "out/o.1001.exr"
    assert there.events[-1]["stages"].keys() >= {"reading", "before", "network", "after", "writing"}
    assert (there.code, there.err) == (0, "")


def test_a_relative_input_is_found(movie: str, served: Impasto) -> None:
    done = served("render", os.path.relpath(movie), "o.mp4", *STYLE, "--frames", "2-4", "--json")
    assert (done.events[0]["input"], done.events[-1]["output"]) == ("in/plate.mp4", "o.mp4")
    assert len(frames_of("o.mp4")) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        ("nowhere.exr", "o.exr"),
        ("{plate}", "o.####.exr", "--style", "identiti"),
        ("{plate}", "o.####.exr", "--style", "no.safetensors"),
        ("{plate}", "o.####.exr", "--input-space", "ACEScgg"),
        ("{plate}", "o.####.exr", "--output-space", "ACEScgg"),
        ("{plate}", "o.####.exr", "--layer", "rgba"),
        ("{plate}", "o.####.exr", "--matte", "nope.png"),
        ("{plate}", "o.####.exr", "--frames", "5-9"),
        ("{plate}", "o.####.exr", "--tile", "8"),
        ("{plate}", "o.####.exr", "--precision", "float8"),
        ("{plate}", "o.####.exr", "--strength", "1.5"),
        ("{plate}", "o.####.exr", "--after-resize", "big"),
        ("{plate}", "{plate}"),
        ("{plate}", "there.mp4"),
        ("{plate}", "o.xyz"),
        ("{plate}", "o.exr"),
        ("in/nowhere.exr", "o.exr"),
        ("camera:x", "o.mp4"),
    ],
    ids=lambda wrong: " ".join(wrong),
)
def test_what_cannot_work_is_refused_in_the_same_words(
    wrong: tuple[str, ...], sequence: str, served: Impasto, impasto: Impasto
) -> None:
    Path("there.mp4").write_text("mine")
    arguments = ["render", *(word.format(plate=sequence) for word in wrong), "--json"]
    if "--style" not in arguments:
        arguments += STYLE
    there, here = served(*arguments), impasto(*arguments)
    assert (there.code, there.events) == (here.code, here.events)
    assert there.code != 0


def test_what_failed_midway_is_told_at_the_end(sequence: str, served: Impasto) -> None:
    Path(sequence.replace("####", "1003")).write_bytes(b"\x76\x2f\x31\x01")
    done = served("render", sequence, "out/o.####.exr", *STYLE, "--json")
    assert [event["event"] for event in done.events] == ["started", "frame", "frame", "failed"]
    assert (done.events[-1]["code"], done.code) == ("unreadable_media", 3)
    assert names(Path("out")) == ["o.1001.exr", "o.1002.exr"]


def test_a_shot_goes_on_where_the_process_left_it(sequence: str, served: Impasto, impasto: Impasto) -> None:
    arguments = ("render", sequence, "out/o.####.exr", *STYLE, "--resume", "--json")
    assert impasto(*arguments).events[-1]["frames"] == 6
    Path("out/o.1004.exr").unlink()
    done = served(*arguments)
    assert [event["number"] for event in done.events if event["event"] == "frame"] == [1004]
    assert (done.events[-1]["frames"], done.events[-1]["skipped"]) == (1, 5)


def test_a_second_run_of_one_output_is_refused_here_and_by_the_server(
    sequence: str, served: Impasto, impasto: Impasto
) -> None:
    Path("out").mkdir()
    others = OutputLock()
    others.take("out/o.####.exr", (1003, 1004))
    for run in (impasto, served):
        done = run("render", sequence, "out/o.####.exr", *STYLE, "--resume", "--json")
        assert (done.events[-1]["event"], done.code) == ("failed", 4)
        assert f"process {os.getpid()} on '{socket.gethostname()}'" in done.events[-1]["message"]
    assert impasto("render", sequence, "out/o.####.exr", *STYLE, "--frames", "1005-1006").code == 0
    others.release()
    assert names(Path("out")) == ["o.1005.exr", "o.1006.exr"]


@pytest.fixture(scope="module")
def long_movie(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("long") / "plate.mp4")
    with open_writer(path, ShotInfo("", "movie", 1, 300, WIDTH, HEIGHT, rate=Fraction(24))) as writer:
        for number in range(1, 301):
            writer.write(picture(number, np.uint8))
    return path


@pytest.mark.parametrize("output", ["out/o.####.exr", "out/o.mp4"])
def test_ctrl_c_keeps_what_is_finished(output: str, long_movie: str) -> None:
    render = started("render", long_movie, output, *STYLE)
    done = outcome_with(render, 3, lambda: render.send_signal(signal.SIGINT))
    assert done.code == INTERRUPTED, done.events[-1]
    last = done.events[-1]
    assert last["event"] == "cancelled"
    assert 3 <= last["frames"] < 300
    if output.endswith(".exr"):
        assert names(Path("out")) == [f"o.{number:04}.exr" for number in range(1, last["frames"] + 1)]
    else:
        assert (names(Path("out")), last["output"]) == (["o.partial.mp4"], "out/o.partial.mp4")
        assert len(frames_of(last["output"])) == last["frames"]


def test_a_client_that_dies_takes_its_shot_along(long_movie: str, served: Impasto) -> None:
    render = started("render", long_movie, "out/o.####.exr", *STYLE)
    outcome_with(render, 3, render.kill)
    until(lambda: served("status", "--json").events[0]["jobs"] == 0)
    assert len(names(Path("out"))) < 300


def test_the_status_is_for_people_and_programs(served: Impasto, runtime: Path) -> None:
    until(lambda: len(served("status", "--json").events[0]["clients"]) == 1)  # who was killed before is given up
    done = served("status", "--json")
    status, last = done.events
    owner = running(runtime)
    assert owner is not None
    assert (status["event"], status["pid"], last["event"]) == ("status", owner.pid, "finished")
    assert [device["device"] for device in status["devices"]] == ["cpu"]
    assert [client["client"].split()[:2] for client in status["clients"]] == [["impasto", "status"]]
    page = served("status")
    assert page.code == 0
    for words in (f"process {owner.pid}", "cpu", "warm styles", "frames per second", "impasto status"):
        assert words in page.out


def test_a_second_server_names_the_first(served: Impasto, runtime: Path) -> None:
    owner = running(runtime)
    assert owner is not None
    done = served("serve")
    assert done.code == SERVER
    assert str(owner.pid) in done.err
    assert len(done.err.splitlines()) == 1


def test_a_server_is_started_when_it_is_needed_and_stopped_when_told(
    sequence: str, served: Impasto, lonely: Path
) -> None:
    for command in (("status",), ("status", "--json")):
        assert served(*command).code == SERVER
    assert "none in" in served("status").err
    assert served("stop").out == "no server runs\n"
    assert served("render", sequence, "out/o.####.exr", *STYLE).code == 0
    owner = running(lonely)
    assert owner is not None
    assert served("stop").out == "the server has ended\n"
    assert running(lonely) is None
    until(lambda: not Path(f"/proc/{owner.pid}").exists() or "Z" in Path(f"/proc/{owner.pid}/stat").read_text())


def test_a_server_that_cannot_start_is_one_sentence_with_a_way_out(
    sequence: str, served: Impasto, lonely: Path
) -> None:
    lonely.mkdir(mode=0o755)
    lonely.chmod(0o755)
    done = served("render", sequence, "out/o.####.exr", *STYLE)
    assert done.code == SERVER
    assert len(done.err.splitlines()) == 1
    assert "chmod 700" in done.err
    assert "--local" in done.err
    lonely.chmod(0o700)


@pytest.mark.slow
def test_a_server_that_is_killed_costs_no_frame(long_movie: str, lonely: Path, impasto: Impasto) -> None:
    def kill() -> None:
        owner = running(lonely)
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)

    render = started("render", long_movie, "out/o.####.exr", *STYLE)
    done = outcome_with(render, 20, kill)
    events = done.events
    assert done.code == 0, events[-1]
    assert (events[-1]["event"], events[-1]["frames"]) == ("finished", 300)
    assert [event["event"] for event in events].count("started") == 1
    numbers = [event["number"] for event in events if event["event"] == "frame"]
    assert len(set(numbers)) == len(numbers)
    assert names(Path("out")) == [f"o.{number:04}.exr" for number in range(1, 301)]
    assert impasto("render", long_movie, "here/o.####.exr", *STYLE).code == 0
    for number in (1, 20, 21, 22, 23, 24, 25, 150, 300):
        there, here = (frames_of(f"{folder}/o.{number:04}.exr") for folder in ("out", "here"))
        assert np.array_equal(there, here)


@pytest.mark.slow
def test_a_movie_begins_again_when_its_server_is_killed(long_movie: str, lonely: Path) -> None:
    def kill() -> None:
        owner = running(lonely)
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)

    render = started("render", long_movie, "out/o.mp4", *STYLE)
    done = outcome_with(render, 20, kill)
    assert (done.code, done.events[-1]["event"]) == (0, "finished"), done.events[-1]
    numbers = [event["number"] for event in done.events if event["event"] == "frame"]
    assert numbers == sorted(set(numbers))
    assert done.events[-1]["frames"] == 300
    assert len(frames_of("out/o.mp4")) == 300
    assert names(Path("out")) == ["o.mp4"]


def test_ctrl_c_ends_a_server(lonely: Path) -> None:
    server = started("serve", "--device", "cpu")
    assert server.stdout is not None
    assert json.loads(server.stdout.readline())["event"] == "serving"
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=LIMIT_S)
    assert (server.returncode, err) == (0, "")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["finished"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--listen", "render1:7780"),
        ("--listen", "tcp://h:70000"),
        ("--styles", "nowhere"),
        ("--root", "plates=."),
        ("--idle-exit", "0"),
        ("--metrics", "0"),
    ],
)
def test_a_server_is_not_started_with_what_cannot_work(wrong: tuple[str, str], served: Impasto, lonely: Path) -> None:
    done = served("serve", *wrong)
    assert done.code == USAGE
    assert len(done.err.splitlines()) == 1
    assert running(lonely) is None


def test_render_takes_one_way(sequence: str, served: Impasto) -> None:
    done = served("render", sequence, "o.####.exr", *STYLE, "--local", "--server", "tcp://render1:7780")
    assert (done.code, "--local or --server" in done.err) == (USAGE, True)
    done = served("render", sequence, "o.####.exr", *STYLE, "--server-key", "x")
    assert (done.code, "--server" in done.err) == (USAGE, True)
