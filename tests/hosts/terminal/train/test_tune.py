"""`impasto train tune`, for trials of a second on pictures of a few pixels."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.hosts.terminal.exit_codes import TRAINING, USAGE
from impasto.training.recipe import read_recipe
from tests.hosts.terminal.conftest import Impasto, names
from tests.plates import write_pairs


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=3, side=72)
    (tmp_path / "base.toml").write_text('generator = "unet"\nsize = "draft"\nbatch = 2\ncrop = 64\n')


def arguments(*more: str) -> tuple[str, ...]:
    pairs = ("--before", "before", "--after", "after", "-o", "best.toml", "--recipe", "base.toml", "--device", "cpu")
    return ("train", "tune", *pairs, "--search", "learning_rate", "--minutes-each", "0.01", *more)


def test_a_recipe_comes_out_that_training_takes_and_a_search_goes_on(impasto: Impasto) -> None:
    done = impasto(*arguments("--trials", "1", "--json"))
    assert done.code == 0, done.out
    assert [event["event"] for event in done.events] == ["warning", "trial", "warning", "finished"]
    assert done.events[2]["message"].startswith("trial 1 was the best")
    assert Path("best.toml").read_text().startswith("# trial 1, ")
    assert "2 pairs to learn from and 1 held out on cpu; searching learning_rate" in done.events[0]["message"]
    tried = done.events[1]
    assert (tried["trials"], tried["ended"], set(tried["settings"])) == (1, "whole", {"learning_rate"})
    recipe = read_recipe(Path("best.toml"))
    assert recipe == {
        "generator": "unet", "size": "draft", "batch": 2, "crop": 64,
        "learning_rate": tried["settings"]["learning_rate"],
    }  # fmt: skip
    assert {"trials.journal", "trial-001"} <= set(names(Path("best.run")))
    assert "checkpoint.safetensors" not in names(Path("best.run/trial-001"))

    again = impasto(*arguments("--trials", "1"))
    assert (again.code, "--resume, --overwrite" in again.err) == (USAGE, True)
    more = impasto(*arguments("--trials", "2", "--resume"))
    assert more.code == 0, more.err
    assert "trial 2 of 2: error " in more.err
    assert more.out.startswith("best.toml: 1 trial in ")
    trained = ("train", "pairs", "--before", "before", "--after", "after", "-o", "my.safetensors", "--steps", "1")
    assert impasto(*trained, "--recipe", "best.toml").code == 0


def test_shots_are_searched_under_their_masks(impasto: Impasto) -> None:
    for folder in ("plates", "painted", "masks"):
        Path(folder).mkdir()
        for number in range(1, 9):
            picture = np.full((64, 64, 3), 20 * number if folder == "plates" else 128, np.uint8)
            if folder == "masks":
                picture[:, :32] = 0
            cv2.imwrite(f"{folder}/p.{number:04}.png", picture)
    shots = ("--before", "plates/p.####.png", "--after", "painted/p.####.png", "--masks", "masks/p.####.png")
    done = impasto(*arguments(*shots, "--frames", "4", "--trials", "1", "--json"))
    assert done.code == 0, done.out
    assert "to learn from and 1 held out" in done.events[0]["message"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("-o", "best.json"), USAGE, "best.toml"),
        (("--resume",), TRAINING, "found none"),
        (("--search", "learning"), USAGE, "did you mean 'learning_rate'?"),
        (("--trials", "0"), USAGE, "at least one trial"),
        (("--plates", "shot.mp4", "--keys", "keys"), USAGE, "one of the two"),
        (("--after", "nowhere"), TRAINING, "'nowhere' is none"),
        (("--masks", "nowhere"), TRAINING, "'nowhere' is none"),
        (("--guides", "aov.####.exr:depth"), USAGE, "got them with pairs"),
    ],
)
def test_what_cannot_be_searched_is_an_error(more: tuple[str, ...], code: int, said: str, impasto: Impasto) -> None:
    done = impasto(*arguments(*more))
    assert (done.code, said in done.err) == (code, True), done.err
    assert not Path("best.toml").exists()
    assert not Path("best.run").exists()


def test_pictures_smaller_than_the_crop_of_the_recipe_are_searched_in_smaller_crops(impasto: Impasto) -> None:
    Path("base.toml").write_text('generator = "unet"\nsize = "draft"\nbatch = 2\n')
    done = impasto(*arguments("--trials", "1", "--json"))
    assert done.code == 0, done.out
    assert done.events[1]["message"] == "crops of 72 pixels, not 128: the smallest picture has 72"
    assert read_recipe(Path("best.toml"))["crop"] == 72


@pytest.mark.parametrize(
    "command", [arguments(), ("train", "teach", "--manner", "cel", "--plates", "before", "--into", "taught")]
)
def test_what_one_process_does_is_not_done_by_several(
    command: tuple[str, ...], impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = impasto(*command)
    assert (done.code, "start it without torchrun" in done.err) == (USAGE, True), done.err
    assert not Path("best.run").exists()
    assert not Path("taught").exists()


def test_without_optuna_the_error_names_the_extra(impasto: Impasto, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else find_spec(name))
    done = impasto(*arguments())
    assert (done.code, "pip install 'impasto[tune]'" in done.err) == (USAGE, True)
