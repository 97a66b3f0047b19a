"""`impasto paint`, and `train keyframes --painting`, on frames of a few pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.media import open_reader
from impasto.core.style_file import read_card
from impasto.hosts.terminal.exit_codes import TRAINING, USAGE
from tests.hosts.terminal.conftest import Impasto, names
from tests.plates import soft_noise, write_sequence


@pytest.fixture(autouse=True)
def painting(tmp_path: Path) -> str:
    cv2.imwrite(str(tmp_path / "oil.png"), np.rint(255 * soft_noise(160, 200, cell=8, seed=7)).astype(np.uint8))
    return "oil.png"


def shot(folder: str, **more: str) -> str:
    picture = soft_noise(64, 96, cell=8)
    if more.get("dtype") == "float32":
        light = picture**2
        light[20:30, 20:30] = 6.0
        return write_sequence(Path(folder), range(11, 15), size=(96, 64), pixels=lambda _: light, **more)
    codes = np.rint(picture * 255).astype(np.uint8)
    return write_sequence(
        Path(folder), range(11, 15), ending="png", size=(96, 64), pixels=lambda number: np.roll(codes, number, axis=1)
    )


def test_keys_bear_the_numbers_of_their_frames_and_are_never_overwritten(impasto: Impasto) -> None:
    plates = shot("in")
    command = ("paint", plates, "--painting", "oil.png", "-o", "keys", "--frames", "11,14")
    done = impasto(*command)
    assert done.code == 0, done.err
    assert names(Path("keys")) == ["plate.0011.png", "plate.0014.png"]
    assert done.out.startswith("keys: 2 frames in ")
    again = impasto(*command)
    assert (again.code, "--overwrite" in again.err) == (USAGE, True)
    assert impasto(*command, "--overwrite", "--json").events[-1]["frames"] == 2
    onto = impasto("paint", plates, "--painting", "oil.png", "-o", "in", "--overwrite")
    assert (onto.code, "the input is never overwritten" in onto.err) == (USAGE, True)


def test_keys_of_float_plates_keep_the_light_above_white(impasto: Impasto) -> None:
    done = impasto("paint", shot("in", dtype="float32"), "--painting", "oil.png", "-o", "keys", "--frames", "12")
    assert done.code == 0, done.err
    with open_reader("keys/plate.0012.exr") as reader:
        assert next(iter(reader)).colour.max() > 3


def test_one_command_paints_keys_and_trains_on_them(impasto: Impasto) -> None:
    command = ("train", "keyframes", "--plates", shot("in"), "-o", "hero.safetensors")
    small = ("--size", "draft", "--crop", "48", "--batch", "1", "--steps", "2", "--key-count", "2")
    done = impasto(*command, *small, "--painting", "oil.png")
    assert done.code == 0, done.err
    assert len(names(Path("hero.run/keys"))) == 2
    keys = read_card(Path("hero.safetensors")).keys
    assert keys is not None
    assert len(keys.frames) == 2
    assert keys.carried, "strokes of the painter go along with what moves"
    own = ("--keys", "hero.run/keys", "--overwrite", "--carry", "off")
    assert impasto(*command[:-1], "calm.safetensors", *small[:-2], *own).code == 0
    learned = read_card(Path("calm.safetensors")).keys
    assert learned is not None
    assert not learned.carried
    assert impasto(*command, *small[:-2], "--keys", "hero.run/keys", "--carry", "maybe").code == USAGE
    for more in ((), ("--painting", "oil.png", "--keys", "hero.run/keys")):
        refused = impasto(*command, *small, "--overwrite", *more)
        assert (refused.code, "expected --keys or --painting" in refused.err) == (USAGE, True)


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        (("--frames", "3"), USAGE, "expected some of 4 frames (11-14)"),
        (("--frames", "11", "oil.png"), USAGE, "expected --frames with one movie or sequence"),
        (("--painting", "in/plate.0011.png"), TRAINING, "at least 128 pixels"),
        (("--painting", "nowhere.png"), TRAINING, "nowhere.png"),
        (("oil.png", "other/oil.png"), USAGE, "got 'oil' from"),
        (("empty",), TRAINING, "found none"),
        (("tiny.png",), TRAINING, "at least 16 pixels on each side, got 8x8"),
    ],
)
def test_what_cannot_be_painted_is_one_sentence(
    changed: tuple[str, ...], code: int, said: str, impasto: Impasto
) -> None:
    plates = shot("in")
    for folder in ("other", "empty"):
        Path(folder).mkdir()
    cv2.imwrite("tiny.png", np.zeros((8, 8, 3), np.uint8))
    Path("other/oil.png").write_bytes(Path("oil.png").read_bytes())
    wishes = ("--painting", "oil.png", "-o", "keys") if "--painting" not in changed else ("-o", "keys")
    done = impasto("paint", plates, *wishes, *changed)
    assert done.code == code, done.err
    assert said in done.err.splitlines()[-1]
    assert all(name.startswith("plate.") for name in names(Path("keys")))
