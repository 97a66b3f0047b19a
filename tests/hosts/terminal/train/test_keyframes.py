"""`impasto train keyframes`, on frames of a few pixels and for a few steps."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.style_file import read_card
from impasto.hosts.terminal.exit_codes import INTERRUPTED, TRAINING, USAGE
from tests.core.media.builders import write_layers
from tests.hosts.terminal.conftest import IMPASTO, Impasto, names

SMALL = ("--size", "draft", "--crop", "48", "--batch", "1")


@pytest.fixture(autouse=True)
def shot(tmp_path: Path) -> None:
    for folder in ("plates", "keys"):
        (tmp_path / folder).mkdir()
    ground = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 10, 3)).astype(np.uint8), (80, 64))
    for number in range(1, 5):
        plate = ground.copy()
        plate[20:40, 10 * number : 10 * number + 20] = 200
        cv2.imwrite(str(tmp_path / "plates" / f"p.{number:04}.png"), plate)
        if number == 2:
            cv2.imwrite(str(tmp_path / "keys" / "hero.0002.png"), 255 - plate)


def arguments(*more: str) -> tuple[str, ...]:
    return ("train", "keyframes", "--plates", "plates/p.####.png", "--keys", "keys", "-o", "hero.safetensors", *more)


def test_a_style_comes_out_and_paints_the_shot(impasto: Impasto) -> None:
    done = impasto(*arguments(*SMALL, "--steps", "3", "--credit", "A. Painter"))
    assert done.code == 0, done.err
    assert done.out.startswith("hero.safetensors: 3 steps in ")
    assert "another key would help most on frame" in done.err
    assert {"checkpoint.safetensors", "preview.png"} <= set(names(Path("hero.run")))
    card = read_card(Path("hero.safetensors"))
    assert (card.name, card.generator, card.credits) == ("hero", "resunet", ("A. Painter",))
    painted = impasto("render", "plates/p.####.png", "out/p.####.png", "--style", "hero.safetensors", "--local")
    assert painted.code == 0, painted.err
    again = impasto(*arguments(*SMALL, "--steps", "5"))
    assert (again.code, "--resume" in again.err) == (USAGE, True)
    resumed = impasto(*arguments(*SMALL, "--steps", "5", "--resume", "--json"))
    assert resumed.events[-1]["steps"] == 5


def test_a_style_with_guides_paints_the_shot_with_them_and_names_missing_ones(impasto: Impasto) -> None:
    slope = np.tile(np.linspace(-1, 1, 80, dtype=np.float32), (64, 1))
    for number in range(1, 5):
        write_layers(f"aov/a.{number:04}.exr", {"normal.X": slope, "normal.Y": -slope, "depth.Z": slope + number})
    trained = impasto(*arguments(*SMALL, "--steps", "3", "--guides", "aov/a.%04d.exr:normal,depth"))
    assert trained.code == 0, trained.err
    guides = read_card(Path("hero.safetensors")).guides
    assert [(guide.channel, guide.reading) for guide in guides] == [
        ("normal.X", "normal"), ("normal.Y", "normal"), ("depth.Z", "depth"),
    ]  # fmt: skip
    render = ("render", "plates/p.####.png", "out/p.####.png", "--style", "hero.safetensors")
    lacking = impasto(*render)
    assert (lacking.code, "'normal.X'" in lacking.err, "--guides" in lacking.err) == (USAGE, True, True)
    painted = impasto(*render, "--guides", "aov/a.####.exr")
    assert painted.code == 0, painted.err
    assert names(Path("out")) == [f"p.{number:04}.png" for number in range(1, 5)]
    assert "normal.X (normal), normal.Y (normal), depth.Z (depth)" in impasto("style", "show", "hero.safetensors").out
    held = ("style", "compare", "hero.safetensors", "identity", "--on", "plates/p.####.png", "--json")
    assert impasto(*held).code == USAGE
    compared = impasto(*held, "--guides", "aov/a.####.exr")
    assert compared.code == 0, compared.out
    assert compared.events[-1]["frames"] == 4
    unknown = impasto(*arguments(*SMALL, "--steps", "3", "--overwrite", "--guides", "aov/a.%04d.exr:normals"))
    assert (unknown.code, "did you mean 'normal'?" in unknown.err) == (USAGE, True)


@pytest.mark.slow
def test_an_interrupted_training_still_gives_a_style() -> None:
    running = subprocess.Popen(
        [*IMPASTO, *arguments(*SMALL, "--steps", "100000", "--json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    events = []
    for line in running.stdout:
        events.append(json.loads(line))
        if sum(event["event"] == "step" for event in events) == 1:
            running.send_signal(signal.SIGINT)
            break
    rest, errors = running.communicate(timeout=120)
    events += [json.loads(line) for line in rest.splitlines()]
    assert (running.returncode, errors) == (INTERRUPTED, "")
    assert (events[-1]["event"], events[-1]["output"]) == ("cancelled", "hero.safetensors")
    assert read_card(Path("hero.safetensors")).name == "hero"


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        (("--keys", "nowhere"), TRAINING, "'nowhere' is none"),
        (("--keys", "plates"), TRAINING, "expected keys of frames 1-2"),
        (("--size", "finest"), USAGE, "did you mean 'fine'?"),
        (("--crop", "96"), TRAINING, "at least 96 pixels"),
        (("--masks", "nowhere"), TRAINING, "'nowhere' is none"),
        (("--steps", "5", "--minutes", "5"), USAGE, "got both"),
    ],
)
def test_what_cannot_work_is_one_sentence(changed: tuple[str, ...], code: int, said: str, impasto: Impasto) -> None:
    for number in (3, 4):
        Path(f"plates/p.{number:04}.png").rename(f"keys/p.{number:04}.png")
    if changed[1] != "plates":
        for number in (3, 4):
            Path(f"keys/p.{number:04}.png").unlink()
    else:
        changed = ("--keys", "keys")
    done = impasto(*arguments(*SMALL, *changed))
    assert done.code == code
    assert said in done.err.splitlines()[-1]
    assert not Path("hero.safetensors").exists()
