"""`impasto train`, on pictures of a few pixels and for a few steps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.core.style_file import read_card
from impasto.hosts.terminal.exit_codes import INTERRUPTED, OUTPUT, TRAINING, USAGE
from impasto.server.shots.output_lock import locked
from tests.hosts.terminal.conftest import IMPASTO, Impasto, names
from tests.plates import write_pairs

SMALL = ("--size", "draft", "--crop", "48", "--batch", "2")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    write_pairs(tmp_path)


def paint_a_picture(side: int) -> None:
    painting = np.random.default_rng(7).integers(0, 256, (side, side, 3)).astype(np.uint8)
    cv2.imwrite("painting.png", painting)


def arguments(*more: str) -> tuple[str, ...]:
    return ("train", "pairs", "--before", "before", "--after", "after", "-o", "my.safetensors", *SMALL, *more)


def test_a_style_comes_out_and_can_be_used(impasto: Impasto) -> None:
    label = ("--title", "Mine", "--licence", "CC0-1.0", "--credit", "A. Painter", "--credit", "B. Painter")
    done = impasto(*arguments("--steps", "50", *label))
    assert done.code == 0, done.err
    assert done.out.startswith("my.safetensors: 50 steps in ")
    assert "my.run/preview.png" in done.err
    assert {"checkpoint.safetensors", "log.csv", "preview.png"} <= set(names(Path("my.run")))
    card = read_card(Path("my.safetensors"))
    assert (card.name, card.title, card.licence, card.credits) == (
        "my",
        "Mine",
        "CC0-1.0",
        ("A. Painter", "B. Painter"),
    )
    assert impasto("render", "before/0.png", "painted.png", "--style", "my.safetensors").code == 0

    again = impasto(*arguments("--steps", "50"))
    assert again.code == USAGE
    assert "--resume" in again.err
    resumed = impasto(*arguments("--steps", "51", "--resume", "--json"))
    assert [event["event"] for event in resumed.events] == ["warning", "finished"]
    assert resumed.events[-1]["steps"] == 51


@pytest.mark.slow
def test_an_interrupted_training_still_gives_a_style() -> None:
    running = subprocess.Popen(
        [*IMPASTO, *arguments("--steps", "100000", "--json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    events = []
    for line in running.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "step" and len(events) == 2:
            running.send_signal(signal.SIGINT)
    errors = running.communicate(timeout=120)[1]
    assert (running.returncode, errors) == (INTERRUPTED, "")
    assert events[1]["figures"]["loss"] > 0
    assert (events[-1]["event"], events[-1]["output"]) == ("cancelled", "my.safetensors")
    assert events[-1]["steps"] >= 50
    assert read_card(Path("my.safetensors")).name == "my"


def test_a_second_trainer_of_one_output_is_refused(impasto: Impasto) -> None:
    with locked("my.safetensors"):
        done = impasto(*arguments("--steps", "5"))
        assert done.code == OUTPUT
        assert f"process {os.getpid()} on '{socket.gethostname()}'" in done.err
        assert not Path("my.run").exists()
    assert impasto(*arguments("--steps", "1")).code == 0
    assert not [name for name in names(Path()) if name.startswith(".")]


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        (("--crop", "50"), TRAINING, "multiple of 8"),
        (("--crop", "96"), TRAINING, "at least 96 pixels"),
        (("--size", "finest"), USAGE, "did you mean 'fine'?"),
        (("--before", "nowhere"), TRAINING, "'nowhere' is none"),
        (("-o", "my.pt"), USAGE, "my.safetensors"),
        (("--resume",), TRAINING, "without --resume"),
        (("--steps", "5", "--minutes", "5"), USAGE, "got both"),
        (("--steps", "0"), TRAINING, "at least 1"),
    ],
)
def test_what_cannot_work_is_one_sentence(changed: tuple[str, ...], code: int, said: str, impasto: Impasto) -> None:
    done = impasto(*arguments(*changed))
    assert done.code == code
    assert said in done.err.splitlines()[-1]
    assert not Path("my.safetensors").exists()


def test_a_picture_without_a_partner_is_named(impasto: Impasto) -> None:
    Path("after/1.png").unlink()
    done = impasto(*arguments())
    assert (done.code, "'1' is missing in 'after'" in done.err) == (TRAINING, True)


def test_pairs_are_made_from_a_painting(impasto: Impasto) -> None:
    paint_a_picture(144)
    done = impasto("train", "teach", "painting.png", "--plates", "before", "--into", "taught", "--json")
    assert done.code == 0, done.out
    assert [event["event"] for event in done.events] == ["started", "frame", "frame", "finished"]
    assert names(Path("taught/before")) == names(Path("taught/after")) == ["0.png", "1.png"]


def test_missing_plates_are_an_error(impasto: Impasto) -> None:
    Path("none").mkdir()
    done = impasto("train", "teach", "before/0.png", "--plates", "none", "--into", "taught")
    assert (done.code, "found none" in done.err) == (TRAINING, True)


def test_a_style_comes_from_a_painting_in_one_command(impasto: Impasto) -> None:
    paint_a_picture(144)
    command = ("train", "painting", "painting.png", "--plates", "before", "-o", "mine.safetensors", *SMALL)
    done = impasto(*command, "--paint-share", "0", "--steps", "3", "--json")
    assert done.code == 0, done.out
    assert [event["event"] for event in done.events if event["event"] != "warning"] == [
        "started", "frame", "frame", "finished",
    ]  # fmt: skip
    assert {"checkpoint.safetensors", "pairs", "preview.png"} <= set(names(Path("mine.run")))
    assert impasto("render", "before/0.png", "painted.png", "--style", "mine.safetensors", "--local").code == 0

    other = impasto(*command, "--manner", "woodblock", "--steps", "4", "--resume")
    assert other.code == TRAINING
    assert "same teacher" in other.err
    more = impasto(*command, "--paint-share", "0", "--steps", "4", "--resume", "--json")
    assert more.events[-1]["steps"] == 4


def test_a_painting_that_was_stopped_before_the_first_step_goes_on(impasto: Impasto) -> None:
    command = ("train", "painting", "--manner", "cel", "--plates", "before", "-o", "mine.safetensors", *SMALL)
    impasto("train", "teach", "--manner", "cel", "--plates", "before", "--into", "mine.run/pairs")
    assert impasto(*command, "--steps", "1", "--resume").code == 0


def test_pairs_of_other_plates_from_a_run_that_was_stopped_are_not_learned_from(impasto: Impasto) -> None:
    for manner in ("cel", "ink"):
        impasto("train", "teach", "--manner", manner, "--plates", "before/0.png", "--into", f"{manner}.run/pairs")
    command = ("train", "painting", "--plates", "before/1.png", *SMALL, "--steps", "1")
    refused = impasto(*command, "--manner", "cel", "-o", "cel.safetensors")
    assert (refused.code, "'0' is there from an earlier run" in refused.err.replace("\n", " ")) == (TRAINING, True)
    assert impasto(*command, "--manner", "ink", "-o", "ink.safetensors", "--overwrite").code == 0
    assert names(Path("ink.run/pairs/before")) == ["1.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("painting.png", "--plates", "nowhere"), TRAINING, "'nowhere'"),
        (("painting.png", "--plates", "empty"), TRAINING, "pictures or movies in 'empty'"),
        (("--plates", "before"), USAGE, "a painting for the manner 'oil'"),
        (("painting.png", "--plates", "before", "--manner", "oel"), USAGE, "did you mean 'oil'"),
        (("painting.png", "--plates", "before"), TRAINING, "at least 128 pixels"),
        (("--manner", "cel", "--plates", "before", "--recipe", "none.toml"), TRAINING, "'none.toml'"),
        (("--manner", "cel", "--plates", "before", "--recipe", "bad.toml"), USAGE, "did you mean 'texture'"),
        (("--manner", "cel", "--plates", "before", "--recipe", "broken.toml"), TRAINING, "expected TOML"),
    ],
)
def test_inputs_that_a_painting_cannot_be_trained_from_are_an_error(
    impasto: Impasto, arguments: tuple[str, ...], code: int, told: str
) -> None:
    paint_a_picture(20)
    Path("empty").mkdir()
    Path("bad.toml").write_text("textur = 0.3\n")
    Path("broken.toml").write_text("texture 0.3\n")
    done = impasto("train", "painting", *arguments, "-o", "mine.safetensors")
    assert done.code == code, done.err
    assert told in done.err
    assert not Path("mine.safetensors").exists()


def test_a_recipe_file_is_followed_and_options_go_before_it(impasto: Impasto) -> None:
    Path("mine.toml").write_text('texture = 0\nsize = "fine"\nsteps = 9000\ngenerator = "unet"\n')
    done = impasto(*arguments("--steps", "2", "--recipe", "mine.toml"))
    assert done.code == 0, done.err
    card = read_card(Path("my.safetensors"))
    assert (card.generator, card.size) == ("unet", "draft")
    assert card.training is not None
    assert card.training.recipe["texture"] == 0


def test_a_draft_is_distilled_from_a_style_without_painted_pictures(impasto: Impasto) -> None:
    plates = ("train", "pairs", "--before", "before", "-o", "my.safetensors", *SMALL, "--steps", "2")
    done = impasto(*plates, "--distil-from", "wheatfield-draft", "--json")
    assert done.code == 0, done.out
    assert "painted by wheatfield-draft" in done.events[0]["message"]
    assert impasto(*plates, "--overwrite").code == USAGE
    both = impasto(*plates, "--overwrite", "--after", "after", "--distil-from", "wheatfield-draft")
    assert (both.code, "--after or --distil-from" in both.err) == (USAGE, True)
    unknown = impasto(*plates, "--overwrite", "--distil-from", "wheatfeld")
    assert (unknown.code, "did you mean 'wheatfield" in unknown.err) == (USAGE, True)


def test_a_style_comes_from_two_unpaired_folders(impasto: Impasto) -> None:
    command = ("train", "domains", "--from", "before", "--to", "after", "-o", "my.safetensors", *SMALL)
    done = impasto(*command, "--adversarial-form", "lsgan", "--steps", "2", "--json")
    assert done.code == 0, done.out
    assert done.events[-1]["steps"] == 2
    card = read_card(Path("my.safetensors"))
    assert card.training is not None
    assert (card.training.recipe["adversarial_form"], card.training.pictures) == ("lsgan", 4)
    unknown = impasto(*command, "--overwrite", "--adversarial-form", "wgan")
    assert (unknown.code, "did you mean 'wgan-gp'" in unknown.err) == (USAGE, True)
    alone = impasto("train", "domains", "--from", "before", "--to", "nowhere", "-o", "other.safetensors")
    assert (alone.code, "'nowhere'" in alone.err) == (TRAINING, True)


def test_several_styles_go_into_one_network_and_a_new_one_out_of_it(impasto: Impasto) -> None:
    small = ("--steps", "3", *SMALL)
    for name in ("dark", "light"):
        assert impasto(
            "train", "pairs", "--before", "before", "--after", "after", "-o", f"{name}.safetensors", *small
        ).code == 0  # fmt: skip
    taught = ("--distil-from", "dark.safetensors", "--distil-from", "light.safetensors")
    assert impasto("train", "pairs", "--before", "before", *taught, "-o", "two.safetensors", *small).code == 0
    assert read_card(Path("two.safetensors")).codes == ("dark", "light")
    assert impasto("render", "before/0.png", "blend.png", "--style", "two.safetensors@dark+light").code == 0

    again = (
        "train",
        "pairs",
        "--before",
        "before",
        "--distil-from",
        "two.safetensors",
        "-o",
        "same.safetensors",
        *small,
    )
    assert impasto(*again).code == 0
    assert read_card(Path("same.safetensors")).codes == ("dark", "light")

    pairs = ("train", "pairs", "--before", "before", "--after", "after", "--crop", "48", "--batch", "2", "--steps", "3")
    assert impasto(*pairs, "--adapt", "two.safetensors", "-o", "third.safetensors").code == 0
    card = read_card(Path("third.safetensors"))
    assert (card.codes, card.size) == (("third",), "draft")
    assert impasto("render", "before/0.png", "third.png", "--style", "third.safetensors").code == 0

    refused = impasto(*pairs, "--adapt", "dark.safetensors", "-o", "none.safetensors")
    assert refused.code == TRAINING
    assert "no style code" in refused.err
    chosen = impasto(*pairs, "--adapt", "two.safetensors@dark", "-o", "none.safetensors")
    assert (chosen.code, "name the file alone" in chosen.err.replace("\n", " ")) == (USAGE, True)
    other_size = impasto(*pairs, "--adapt", "two.safetensors", "--size", "fine", "-o", "none.safetensors")
    assert other_size.code == USAGE
    assert "keeps its network" in other_size.err.replace("\n", " ")


def test_paintings_become_styles_of_one_network(impasto: Impasto) -> None:
    for name in ("wave", "starry"):
        paint_a_picture(160)
        Path("painting.png").rename(f"{name}.png")
    wanted = ("--plates", "before", "-o", "masters.safetensors", "--paint-share", "0", "--steps", "3", *SMALL)
    done = impasto("train", "painting", "--styles", "wave.png", "starry.png", *wanted)
    assert done.code == 0, done.err
    assert read_card(Path("masters.safetensors")).codes == ("wave", "starry")
    assert {"wave", "starry"} <= set(names(Path("masters.run/pairs")))
    distilled = ("--distil-from", "wheatfield-draft", "--overwrite")
    both = impasto("train", "painting", "--styles", "wave.png", "starry.png", *wanted, *distilled)
    assert (both.code, "got both" in both.err) == (USAGE, True)
    alone = impasto("train", "painting", "--styles", "wave.png", *wanted, "--overwrite")
    assert alone.code == USAGE
    assert "two or more paintings" in alone.err


def save_sequence(pattern: str, pictures: list[np.ndarray]) -> None:
    shot = ShotInfo("", "sequence", 1, len(pictures), 64, 64)
    with open_writer(pattern, shot) as writer:
        for number, picture in enumerate(pictures, 1):
            writer.write(Frame.from_pixels(picture, number=number))


def test_a_style_comes_from_sequences_and_masks(impasto: Impasto) -> None:
    plates = [np.random.default_rng(n).random((64, 64, 3)).astype(np.float16) for n in range(3)]
    save_sequence("plate.####.exr", plates)
    save_sequence("paint.####.exr", [1 - plate for plate in plates])
    save_sequence("mask.####.png", [np.full((64, 64, 3), 255, np.uint8)] * 3)
    command = (
        "train", "pairs", "--before", "plate.%04d.exr", "--after", "paint.####.exr", "--masks", "mask.####.png",
        "--input-space", "ACEScg", "--frames", "2", "-o", "my.safetensors", *SMALL, "--steps", "1",
    )  # fmt: skip
    done = impasto(*command, "--json")
    assert done.code == 0, done.out
    assert done.events[0]["message"].startswith("2 pairs on")
    unknown = impasto(*command, "--overwrite", "--input-space", "ACESxx")
    assert (unknown.code, "ACES" in unknown.err) == (USAGE, True)
    Path("paint.0003.exr").unlink()
    shorter = impasto(*command, "--overwrite")
    assert (shorter.code, "3 frames (1-3)" in shorter.err, "2 frames (1-2)" in shorter.err) == (TRAINING, True, True)


def test_plates_for_a_painter_come_from_sequences_in_float(impasto: Impasto) -> None:
    save_sequence("plate.####.exr", [np.full((64, 64, 3), 0.1 * n, np.float16) for n in range(1, 7)])
    command = ("train", "teach", "--manner", "cel", "--plates", "plate.####.exr", "--into", "taught", "--frames", "2")
    assert impasto(*command, "--input-space", "ACEScct").code == 0
    assert names(Path("taught/before")) == ["plate_00001.png", "plate_00004.png"]
    assert cv2.imread("taught/before/plate_00001.png", cv2.IMREAD_UNCHANGED).dtype == np.uint16
    other = impasto(*command, "--input-space", "ACEScg")
    assert (other.code, "same teacher" in other.err) == (TRAINING, True)
    absent = impasto(*command[:-4], "none.####.exr", "--into", "other")
    assert absent.code != 0


def test_two_plates_of_one_name_are_not_taken_for_one(impasto: Impasto) -> None:
    done = impasto("train", "teach", "--manner", "cel", "--plates", "before", "--plates", "after", "--into", "taught")
    assert (done.code, "two called '0'" in done.err) == (TRAINING, True)


def test_a_style_that_cleans_comes_from_clean_plates(impasto: Impasto) -> None:
    Path("plates").mkdir()
    plate = cv2.resize(np.random.default_rng(7).integers(0, 256, (8, 9, 3)).astype(np.uint8), (192, 160))
    cv2.imwrite("plates/one.png", plate)
    command = ("train", "enhance", "--plates", "plates", "-o", "my.safetensors", *SMALL, "--variants", "2")
    done = impasto(*command, "--steps", "2", "--json")
    assert done.code == 0, done.out
    assert names(Path("my.run/pairs/before")) == ["one.640.0.png", "one.640.1.png"]
    np.testing.assert_array_equal(cv2.imread("my.run/pairs/after/one.640.1.png"), plate)
    more = impasto(*command, "--steps", "3", "--resume", "--json")
    assert more.events[-1]["steps"] == 3
    other = impasto(*command[:-1], "3", "--steps", "4", "--resume")
    assert (other.code, "same teacher" in other.err) == (TRAINING, True)
    small = impasto("train", "enhance", "--plates", "before", "-o", "other.safetensors")
    assert (small.code, "at least 128 pixels" in small.err) == (TRAINING, True)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(impasto: Impasto) -> None:
    assert impasto(*arguments("--steps", "2")).code == 0
    running = subprocess.Popen(
        [*IMPASTO, *arguments("--steps", "100000", "--resume", "--json")], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if json.loads(line)["event"] == "step":
            running.kill()
            break
    running.communicate(timeout=120)
    # What the killed one was writing when it died is half a file beside the whole one.
    Path("my.run/.checkpoint.safetensors.part").write_bytes(b"half")
    done = impasto(*arguments("--steps", "4", "--resume", "--json"))
    assert (done.code, done.events[-1]["steps"]) == (0, 4)
    assert names(Path("my.run")).count(".checkpoint.safetensors.part") == 0


def test_one_pair_is_enough_to_train_and_none_is_an_error(impasto: Impasto) -> None:
    Path("none").mkdir()
    empty = impasto(*arguments("--before", "none", "--after", "none"))
    assert (empty.code, "expected pictures in 'none', found none" in empty.err) == (TRAINING, True)
    for folder in ("before", "after"):
        Path(folder, "1.png").unlink()
    assert impasto(*arguments("--steps", "2")).code == 0


def test_nan_in_a_plate_spoils_no_training(impasto: Impasto) -> None:
    for folder in ("before", "after"):
        for number in range(2):
            plate = np.random.default_rng(number).random((64, 64, 3)).astype(np.float32)
            plate[number : number + 9, 5:60] = np.nan if number else np.inf
            Path(folder, f"{number}.png").unlink()
            shot = ShotInfo("", "sequence", number, 1, 64, 64)
            with open_writer(str(Path(folder, "p.#.exr")), shot) as writer:
                writer.write(Frame.from_pixels(plate, number=number))
    done = impasto(*arguments("--steps", "50", "--json"))
    assert done.code == 0, done.out
    (step,) = (event for event in done.events if event["event"] == "step")
    assert 0 < step["figures"]["loss"] < 2
    assert not [event for event in done.events if "diverged" in event.get("message", "")]


def test_a_recipe_of_another_generator_than_the_checkpoint_is_an_error(impasto: Impasto) -> None:
    assert impasto(*arguments("--steps", "1")).code == 0
    Path("other.toml").write_text('generator = "unet"\n')
    done = impasto(*arguments("--steps", "2", "--resume", "--recipe", "other.toml"))
    assert (done.code, "expected the generator 'resunet' with which" in done.err) == (TRAINING, True)
