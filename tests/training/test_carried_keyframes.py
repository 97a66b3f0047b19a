"""Keys by a hand while a style is trained: how they are told, how far a shot is followed, and what comes of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.frame import Samples
from impasto.core.style_file import load_style
from impasto.training.data.brushwork import BY_HAND, explained
from impasto.training.data.followed_frames import ShotFrame, followed_numbers, followed_shot, shot_frame
from impasto.training.data.key_report import NUMBERS, REPORT
from impasto.training.data.keyframes import load_keyframes
from impasto.training.data.made_keys import contradictions
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.losses.texture import random_gram
from impasto.training.objectives.keyframes import complete, hold_out, task_for
from impasto.training.task import Schedule
from impasto.training.teachers.palette import fit_palette
from impasto.training.teachers.strokes import StrokeSettings, paint
from tests.training.pictures import save
from tests.training.test_keyframes import QUICK

HEIGHT, WIDTH = 120, 176


def world(seed: int) -> Samples:
    """A wide ground with large and small forms, (H, 2 W, 3)."""
    noise = np.random.default_rng(seed).standard_normal((HEIGHT, 2 * WIDTH, 3)).astype(np.float32)
    forms = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (2.0, 9.0)]
    return np.clip(0.5 + sum(0.12 * each / each.std() for each in forms), 0, 1).astype(np.float32)


def seen(ground: Samples, number: int) -> Samples:
    """The ground before a camera that pans 3 pixels a frame."""
    return np.ascontiguousarray(ground[:, 3 * number : 3 * number + WIDTH])


GROUND, PAINT = world(1), world(2)


def of(picture: Samples, number: int) -> ShotFrame:
    stored = torch.from_numpy(picture).permute(2, 0, 1).half()
    return shot_frame(number, picture, stored, None)


def panned(numbers: range, odd: dict[int, Samples] | None = None) -> Iterator[ShotFrame]:
    for number in numbers:
        yield of((odd or {}).get(number, seen(GROUND, number)), number)


def test_a_hands_keys_are_told_from_a_filters_and_from_a_photograph() -> None:
    plate, everywhere = seen(GROUND, 0), np.ones((HEIGHT, WIDTH), bool)
    filtered = paint(plate, fit_palette([plate], [PAINT]), StrokeSettings())
    assert explained(plate, seen(PAINT, 0), everywhere) < BY_HAND
    assert explained(plate, filtered, everywhere) > BY_HAND
    assert explained(plate, plate, everywhere) > BY_HAND
    assert explained(plate, np.full_like(plate, 0.3), everywhere) > BY_HAND, "a key without any brushwork"


def test_frames_are_followed_outwards_into_keys_and_into_each_other() -> None:
    numbers = followed_numbers(0, 20, [0])
    shot = followed_shot(panned(range(21)), [0], numbers)
    assert [frame.number for frame in shot.frames] == numbers == [6, 12, 18, 20]
    assert [sorted(frame.leads) for frame in shot.frames] == [[0], [0, 6], [0, 12], [0, 18]]
    inner = np.s_[20:-20, 20:-80]
    for frame in shot.frames:
        for into, flow in frame.leads.items():
            assert np.median(flow[inner][..., 0]) == pytest.approx(3 * (frame.number - into), abs=1)
    assert followed_numbers(1, 2, [1]) == [2], "a shot of two frames"


def test_motion_never_crosses_a_cut_and_passes_over_a_flash() -> None:
    other = world(7)
    scene = {number: seen(other, number) for number in range(9, 16)}
    cut = followed_shot(panned(range(16), scene), [0], [6, 12])
    assert cut.cuts == (9,)
    assert [frame.number for frame in cut.frames] == [6]
    flash = followed_shot(panned(range(13), {9: np.ones((HEIGHT, WIDTH, 3), np.float32)}), [0], [6, 12])
    assert flash.cuts == ()
    assert [frame.number for frame in flash.frames] == [6, 12]


@pytest.fixture
def shot(tmp_path: Path) -> str:
    for number in range(13):
        save(tmp_path / "plates" / f"p.{number:04}.png", seen(GROUND, number))
    save(tmp_path / "keys" / "k.0000.png", seen(PAINT, 0))
    return str(tmp_path / "plates" / "p.####.png")


@pytest.mark.usefixtures("small_networks")
def test_a_style_of_a_hands_keys_holds_made_keys_and_its_run_says_how_sure_they_are(shot: str, tmp_path: Path) -> None:
    split = hold_out(load_keyframes(shot, tmp_path / "keys"), 1)
    assert split.by_hand
    recipe, output, folder = dataclasses.replace(QUICK, gram=0.02), tmp_path / "hero.safetensors", tmp_path / "run"
    trained = run(task_for(split, recipe, output, Label("hero")), recipe, Schedule(folder))
    notes = complete(trained, split, recipe, output, Label("hero"), folder)
    assert "the keys' own strokes are carried" in notes[0]
    keys = load_style(output).keys
    assert keys is not None
    assert keys.facts.carried
    assert keys.facts.made == (6, 12)
    paints, held = keys.paints.float() / 255, keys.painted.float() / 255
    for index, number in enumerate(keys.facts.made, 1):
        wanted = seen(PAINT, number)[20:-20, 20 : WIDTH - 50]
        made = paints[index].permute(1, 2, 0).numpy()[20:-20, 20 : WIDTH - 50]
        assert np.abs(made - wanted).mean() < 0.3 * np.abs(seen(PAINT, 0)[20:-20, 20 : WIDTH - 50] - wanted).mean()
        assert held[index, 0, 20:-20, 20 : WIDTH - 50].mean() > 0.9
    report = json.loads((folder / NUMBERS).read_text())
    assert [each["frame"] for each in report["frames"]] == [0, 6, 12]
    assert report["frames"][0]["by_hand"] == 1 > report["frames"][2]["by_hand"] > 0.5
    assert report["another_key_would_help_on"][0] == 12
    assert cv2.imread(str(folder / REPORT)) is not None


def test_keys_that_contradict_each_other_are_named(shot: str, tmp_path: Path) -> None:
    save(tmp_path / "keys" / "k.0004.png", seen(PAINT, 4))
    assert contradictions(load_keyframes(shot, tmp_path / "keys").keys) == []
    save(tmp_path / "keys" / "k.0004.png", 1 - 0.7 * seen(PAINT, 4))
    notes = contradictions(load_keyframes(shot, tmp_path / "keys").keys)
    assert len(notes) == 1
    assert "'k.0000.png' and 'k.0004.png'" in notes[0]


def test_the_gram_of_random_filters_knows_texture_from_blur_and_not_place() -> None:
    noise = np.random.default_rng(5).standard_normal((96, 192, 3)).astype(np.float32)
    blots = cv2.GaussianBlur(noise, (0, 0), 1.5)
    texture = torch.from_numpy(0.5 + 0.15 * blots / blots.std()).permute(2, 0, 1)[None]
    crop, other = texture[..., :96], texture[..., 96:]
    soft = torch.nn.functional.avg_pool2d(crop, 5, stride=1, padding=2).requires_grad_(True)
    losses = [float(random_gram(each, crop).detach()) for each in (crop, other, soft)]
    assert losses[0] == pytest.approx(0.5 * np.log(0.05), abs=1e-3)
    assert losses[0] < losses[1] < losses[2]
    random_gram(soft, crop).backward()  # type: ignore[no-untyped-call]  # torch's own
    assert soft.grad is not None
    assert torch.isfinite(soft.grad).all()
