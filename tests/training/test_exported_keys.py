"""What a trained style carries of its shot: the keys as they were painted, and how to look for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.engine import Engine
from impasto.core.frame import Samples
from impasto.core.media import open_reader
from impasto.core.style_file import load_style
from impasto.training.data.exported_keys import exported_keys
from impasto.training.data.keyframes import Key, UnpaintedFrame, load_keyframes
from impasto.training.data.shot_statistics import camera_moves, noise_of
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for
from impasto.training.task import Schedule
from tests.training.pictures import save, smooth, stored, write_frames

HEIGHT, WIDTH = 120, 200


def scene(left: int = 0, *, noise: float = 0.0) -> Samples:
    """A part of a wide ground, `left` pixels into it, with white noise in 1/255; 8 bits in [0, 1]."""
    wide = smooth(HEIGHT, WIDTH + 80, cell=12)
    picture = (
        0.2
        + 0.6 * wide[:, left : left + WIDTH]
        + np.random.default_rng(2 + left).normal(0, noise / 255, (HEIGHT, WIDTH, 3))
    )
    return np.asarray(np.rint(255 * np.clip(picture, 0, 1)) / 255, np.float32)


def key(picture: Samples, number: int = 1, dtype: torch.dtype = torch.uint8) -> Key:
    loss_mask = torch.ones(1, *picture.shape[:2], dtype=torch.bool)
    return Key(f"k.{number:04}.png", number, stored(picture), stored(1 - picture, dtype), loss_mask)


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_the_noise_of_a_plate_is_measured(noise: float) -> None:
    assert noise_of(scene(noise=noise)) == pytest.approx(noise, rel=0.15)


def test_a_clean_plate_has_hardly_any_noise_and_texture_is_not_taken_for_more() -> None:
    assert noise_of(scene()) < 0.6
    assert noise_of(np.random.default_rng(3).random((64, 64, 3), np.float32)) == 8.0


def test_a_camera_that_moves_is_told_from_one_that_stands() -> None:
    assert camera_moves(scene(0), [scene(5), scene(12), scene(20)])
    assert not camera_moves(scene(0, noise=2), [scene(0, noise=3), scene(0, noise=1)])
    assert not camera_moves(scene(0), [])


def test_an_actor_before_a_still_camera_moves_no_camera() -> None:
    frames = []
    for place in (20, 70, 120):
        frame = scene()
        frame[40:100, place : place + 40] = (0.9, 0.1, 0.2)
        frames.append(frame)
    assert not camera_moves(frames[0], frames[1:])


def test_keys_of_8_bits_are_carried_as_they_are() -> None:
    keys = [key(scene(0), 3), key(scene(9), 8)]
    carried = exported_keys(keys, [UnpaintedFrame(5, stored(scene(5)))])
    assert carried is not None
    assert carried.facts.frames == (3, 8)
    assert (carried.facts.samples, carried.facts.height, carried.facts.width) == ("uint8", HEIGHT, WIDTH)
    assert carried.facts.follow
    for index, each in enumerate(keys):
        assert torch.equal(carried.plates[index], each.plate)
        assert torch.equal(carried.paints[index], each.paint)
    assert bool((carried.painted == 255).all())


def test_one_key_of_half_makes_all_of_them_half() -> None:
    carried = exported_keys([key(scene(0), 1), key(scene(9), 2, torch.float16)], [])
    assert carried is not None
    assert carried.facts.samples == "float16"
    assert carried.plates.dtype == carried.paints.dtype == torch.float16


def test_unpainted_parts_are_carried_as_such() -> None:
    partly = dataclasses.replace(key(scene()), loss_mask=torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool))
    partly.loss_mask[:, :, :50] = True
    carried = exported_keys([partly], [])
    assert carried is not None
    assert torch.equal(carried.painted[0] == 255, partly.loss_mask)


def test_keys_larger_than_the_limit_are_scaled_down() -> None:
    large = cv2.resize(scene(), (4096, 2160), interpolation=cv2.INTER_LINEAR)
    carried = exported_keys([key(large)], [])
    assert carried is not None
    assert tuple(carried.paints.shape) == (1, 3, 1080, 2048)
    assert (carried.facts.height, carried.facts.width) == (1080, 2048)


def test_keys_of_differing_data_windows_are_not_carried() -> None:
    assert exported_keys([key(scene(), 1), key(scene()[:-8], 2)], []) is None


@pytest.mark.usefixtures("small_networks")
def test_a_trained_style_carries_its_keys(tmp_path: Path) -> None:
    for folder, number, picture in (
        ("plates", 1, scene(0)), ("plates", 2, scene(4)), ("plates", 3, scene(8)), ("keys", 2, 1 - scene(4)),
    ):  # fmt: skip
        save(tmp_path / folder / f"p.{number:04}.png", picture)
    recipe = dataclasses.replace(
        RECIPE, size="draft", minutes=0.0, steps=2, batch=2, crop=48, rim=8, mixed_precision=False
    )
    split = hold_out(load_keyframes(str(tmp_path / "plates"), tmp_path / "keys"), 1)
    run(task_for(split, recipe, tmp_path / "hero.safetensors", Label("hero")), recipe, Schedule(tmp_path / "run"))
    style = load_style(tmp_path / "hero.safetensors")
    assert style.keys is not None
    assert style.keys.facts.frames == (2,)
    assert torch.equal(style.keys.paints[0], split.keys[0].paint)


@pytest.mark.usefixtures("small_networks")
def test_a_key_painted_in_light_above_one_is_what_its_frame_becomes(tmp_path: Path) -> None:
    light = np.ascontiguousarray(scene()[:96, :128] * 4)
    paint = np.ascontiguousarray(light[..., ::-1] * 0.5)
    for folder, pixels in (("plates", light), ("keys", paint)):
        write_frames(tmp_path / folder / "f.####.exr", [pixels])
    recipe = dataclasses.replace(
        RECIPE, size="draft", minutes=0.0, steps=1, batch=1, crop=48, rim=8, mixed_precision=False
    )
    split = hold_out(load_keyframes(str(tmp_path / "plates"), tmp_path / "keys"), 1)
    run(task_for(split, recipe, tmp_path / "hero.safetensors", Label("hero")), recipe, Schedule(tmp_path / "run"))
    engine = Engine(tmp_path / "hero.safetensors", device="cpu")
    with open_reader(str(tmp_path / "plates" / "f.####.exr")) as reader:
        result = engine(next(iter(reader))).colour
    np.testing.assert_allclose(result, paint, rtol=0.01, atol=0.01)
