"""Keyframes: what is read, what is said of it, what is learned, on frames of a few pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.errors import OutputError, TrainingError, UnreadableMedia
from impasto.core.generators.resunet import ResUNet, ResUNetConfig
from impasto.core.style_file import load_style
from impasto.training import state
from impasto.training.best_weights import WORSE, BestWeights
from impasto.training.data.keyframes import Keyframes, load_keyframes
from impasto.training.data.pictures import as_float
from impasto.training.data.registration import moved_by, register
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.objectives.keyframes import HELD_SIDE, RECIPE, draw_crops, draw_held_out, hold_out, task_for
from impasto.training.preview import stylize
from impasto.training.task import Schedule, Trained, TrainingProgress
from tests.training.pictures import (
    HEIGHT,
    WIDTH,
    painted,
    plate,
    save,
    smooth,
    stored,
    weights,
    write_frames,
    write_shot,
)

QUICK = dataclasses.replace(
    RECIPE, size="draft", minutes=0.0, steps=4, batch=2, crop=48, rim=8, critic_from=1, mixed_precision=False
)


@pytest.fixture
def shot(tmp_path: Path) -> str:
    return write_shot(tmp_path)


def loaded(shot: str, tmp_path: Path, masks: Path | None = None) -> Keyframes:
    return load_keyframes(shot, tmp_path / "keys", masks)


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_key_of_another_size_is_scaled_where_the_shape_agrees_and_it_is_said(
    shot: str, tmp_path: Path, factor: float
) -> None:
    paint = painted(plate(3))
    size = round(WIDTH * factor), round(HEIGHT * factor)
    save(tmp_path / "keys" / "k.0003.png", cv2.resize(paint, size, interpolation=cv2.INTER_AREA))
    found = loaded(shot, tmp_path)
    (key,) = found.keys
    assert tuple(key.paint.shape) == (3, HEIGHT, WIDTH)
    assert np.abs(as_float(key.paint).permute(1, 2, 0).numpy() - paint).mean() < 0.03
    assert f"key 'k.0003.png' is scaled from {size[0]}x{size[1]} to the frame's {WIDTH}x{HEIGHT}" in found.notes[0]


def test_a_key_and_its_mask_turned_by_exif_are_turned_and_it_is_said(shot: str, tmp_path: Path) -> None:
    import OpenImageIO as oiio

    paint = np.rint(painted(plate(3)) * 255).astype(np.uint8)
    stored_so = np.ascontiguousarray(np.rot90(paint, 1))  # looked at after a quarter turn clockwise
    (tmp_path / "keys" / "k.0003.png").unlink()
    spec = oiio.ImageSpec(HEIGHT, WIDTH, 3, "uint8")
    spec.attribute("Orientation", 6)
    out = oiio.ImageOutput.create(str(tmp_path / "keys" / "k.0003.tif"))
    assert out.open(str(tmp_path / "keys" / "k.0003.tif"), spec)
    assert out.write_image(stored_so)
    out.close()
    save(tmp_path / "masks" / "m.0003.png", np.ones((2 * HEIGHT, 2 * WIDTH, 3), np.float32))
    found = loaded(shot, tmp_path, tmp_path / "masks")
    (key,) = found.keys
    assert np.array_equal(key.paint.permute(1, 2, 0).numpy(), paint)
    assert "key 'k.0003.tif' is turned as its EXIF orientation says" in found.notes[0]
    assert "mask 'm.0003.png' is scaled from" in found.notes[1]


def test_a_key_is_paired_with_the_frame_of_its_number(shot: str, tmp_path: Path) -> None:
    found = loaded(shot, tmp_path)
    (key,) = found.keys
    assert (key.number, key.plate.dtype, tuple(key.plate.shape)) == (3, torch.uint8, (3, HEIGHT, WIDTH))
    assert torch.allclose(as_float(key.plate).permute(1, 2, 0), torch.from_numpy(plate(3)), atol=0.003)
    assert torch.allclose(as_float(key.paint).permute(1, 2, 0), torch.from_numpy(painted(plate(3))), atol=0.003)
    assert key.loss_mask.all()
    assert not found.notes
    assert 3 not in [unpainted.number for unpainted in found.unpainted]


def test_another_key_is_wanted_where_something_new_appears(shot: str, tmp_path: Path) -> None:
    odd = plate(6)
    odd[8:88, 8:120] = np.random.default_rng(9).random((80, 112, 3))
    save(tmp_path / "plates" / "p.0006.png", odd)
    found = loaded(shot, tmp_path)
    assert found.wanted == 6
    assert 6 in [unpainted.number for unpainted in found.unpainted], "it is shown on the contact sheet"


@pytest.mark.parametrize(("right", "down"), [(6, -3), (-9, 4), (3, 0)])
def test_a_shifted_key_is_said_and_moved_back(right: int, down: int, shot: str, tmp_path: Path) -> None:
    save(tmp_path / "keys" / "k.0003.png", moved_by(painted(plate(3)), right, down))
    found = loaded(shot, tmp_path)
    assert any("does not register with frame 3" in note for note in found.notes)
    (key,) = found.keys
    kept = key.loss_mask[0].numpy()
    assert kept.sum() == (WIDTH - abs(right)) * (HEIGHT - abs(down))
    assert np.allclose(as_float(key.paint).permute(1, 2, 0).numpy()[kept], painted(plate(3))[kept], atol=0.003)


def test_how_far_a_key_is_shifted_is_measured_to_half_a_pixel() -> None:
    lies = register(plate(3), moved_by(painted(plate(3)), 6, -3))
    assert (lies.right, lies.down) == (pytest.approx(6, abs=0.5), pytest.approx(-3, abs=0.5))
    assert "to the right of it" in lies.in_words()
    assert "above it" in lies.in_words()
    assert not register(plate(3), painted(plate(3))).is_shifted


def test_a_key_of_another_frame_is_said(tmp_path: Path) -> None:
    scenes = [smooth(seed=seed) for seed in (1, 2)]
    for number, scene in enumerate(scenes, 1):
        save(tmp_path / "plates" / f"p.{number:04}.png", scene)
    save(tmp_path / "keys" / "k.0001.png", painted(scenes[1]))
    notes = loaded(str(tmp_path / "plates"), tmp_path).notes
    assert any("looks more like frame 2 than like its frame 1" in note for note in notes)


def test_nothing_is_learned_outside_the_mask(shot: str, tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    mask[20:80, 10:90] = (0, 0, 0.5)  # one colour of a mask of many objects
    save(tmp_path / "masks" / "m.0003.png", mask)
    save(tmp_path / "masks" / "m.0004.png", mask)
    found = loaded(shot, tmp_path, tmp_path / "masks")
    assert torch.equal(found.keys[0].loss_mask[0], torch.from_numpy(mask.any(2)))
    assert any("'m.0004.png' belongs to no key" in note for note in found.notes)
    crops = draw_crops(hold_out(found, 1), QUICK, torch.Generator().manual_seed(1))
    assert 0 < crops.loss_mask.mean() < 1


def test_light_of_a_float_key_is_met_exactly_and_an_8_bit_key_is_remarked(tmp_path: Path) -> None:
    light = plate(1) * 4
    paint = light[..., ::-1] * 0.5
    write_frames(tmp_path / "plates" / "p.####.exr", [light])
    write_frames(tmp_path / "keys" / "k.####.exr", [np.ascontiguousarray(paint)])
    (key,) = (found := loaded(str(tmp_path / "plates" / "p.0001.exr"), tmp_path)).keys
    assert not found.notes
    assert found.wanted is None
    answered = as_float(key.paint).permute(1, 2, 0).numpy()
    decoded = np.where(answered <= 0.04045, answered / 12.92, ((answered + 0.055) / 1.055) ** 2.4)
    gain = np.maximum(light.max(2, keepdims=True), 1)
    assert np.allclose(decoded * gain, paint, atol=0.02)

    (tmp_path / "keys" / "k.0001.exr").unlink()
    save(tmp_path / "keys" / "k.0001.png", painted(plate(1)))
    notes = loaded(str(tmp_path / "plates" / "p.0001.exr"), tmp_path).notes
    assert any("is uint8 and its plate float" in note for note in notes)


def test_nan_in_a_plate_is_said_and_not_learned_from(tmp_path: Path) -> None:
    light = plate(1)
    light[50, 60] = np.nan
    write_frames(tmp_path / "plates" / "p.####.exr", [light])
    write_frames(tmp_path / "keys" / "k.####.exr", [painted(plate(1))])
    found = loaded(str(tmp_path / "plates" / "p.0001.exr"), tmp_path)
    assert any("1 pixels with NaN" in note for note in found.notes)
    assert not found.keys[0].loss_mask[0, 50, 60]
    assert torch.isfinite(found.keys[0].plate.float()).all()


def refused(shot: str, tmp_path: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        loaded(shot, tmp_path)
    return str(caught.value)


def test_what_cannot_be_a_key_is_refused_in_one_sentence(shot: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    save(keys / "k.0012.png", painted(plate(3)))
    assert "expected keys of frames 1-8, got 'k.0012.png' for frame 12" in refused(shot, tmp_path)
    (keys / "k.0012.png").rename(keys / "second.png")
    assert "number of its frame" in refused(shot, tmp_path)
    (keys / "second.png").rename(keys / "other.0003.png")
    assert "one key for frame 3" in refused(shot, tmp_path)
    (keys / "other.0003.png").unlink()
    save(keys / "k.0003.png", painted(plate(3))[:-8])
    assert "expected keys of the plate's size 128x96, got 128x88" in refused(shot, tmp_path)
    (keys / "k.0003.png").write_bytes(b"no picture")
    assert "could not read a key" in refused(shot, tmp_path)
    (keys / "k.0003.png").unlink()
    assert "found none" in refused(shot, tmp_path)


def test_a_shot_that_is_not_there_is_refused(shot: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        load_keyframes(str(tmp_path / "nowhere.####.png"), tmp_path / "keys")


def test_what_is_held_out_is_small_and_never_learned_from(shot: str, tmp_path: Path) -> None:
    (key,) = loaded(shot, tmp_path).keys
    assert not draw_held_out(key, torch.Generator()).any(), "a key of this size can spare nothing"
    large = dataclasses.replace(
        key, **{name: getattr(key, name).repeat(1, 3, 3) for name in ("plate", "paint", "loss_mask")}
    )
    held = draw_held_out(large, torch.Generator())
    assert 0 < held.sum() <= 3 * HELD_SIDE**2
    split = dataclasses.replace(hold_out(Keyframes((large,), (), (), None), 1), held_out=(held,))
    everywhere = dataclasses.replace(QUICK, crop=288, batch=1)
    crops = draw_crops(split, everywhere, torch.Generator().manual_seed(1))
    assert crops.loss_mask.sum() <= 288 * 288 - held[:, :, :288].sum()


def test_weights_that_have_become_plainly_worse_give_way_to_the_best() -> None:
    config = ResUNetConfig(widths=(8, 8, 8), blocks=(0, 0, 0))
    early, late = ResUNet(config), ResUNet(config)
    best = BestWeights(ResUNet(config))
    best.note(early, 1.0)
    best.note(late, 1.0 * WORSE - 0.001)
    assert best.choose(late) is late
    best.note(late, 1.0 * WORSE + 0.001)
    assert torch.equal(best.choose(late).last.weight, early.last.weight)


@pytest.mark.usefixtures("small_networks")
def test_a_run_shows_unpainted_frames_and_leaves_a_style_at_every_look(shot: str, tmp_path: Path) -> None:
    output = tmp_path / "watched" / "hero.safetensors"
    split = hold_out(loaded(shot, tmp_path), 1)
    task = task_for(split, QUICK, output, Label("hero"))
    published: list[int] = []

    def note(trained: Trained) -> None:
        task.publish(trained)
        card = load_style(output).card
        assert card.training is not None
        published.append(card.training.steps)

    watching = dataclasses.replace(task, publish=note)
    trained = run(watching, QUICK, Schedule(tmp_path / "run", preview_s=-1.0))
    assert published == [1, 2, 3, 4, 4]
    assert trained.steps == 4
    assert [path.name for path in output.parent.iterdir()] == ["hero.safetensors"]
    sheet = cv2.imread(str(tmp_path / "run" / "preview.png"))
    assert sheet is not None
    assert sheet.shape[1] == 2 * 448


@pytest.mark.usefixtures("small_networks")
def test_a_resumed_run_on_keys_equals_an_undisturbed_one(shot: str, tmp_path: Path) -> None:
    split = hold_out(loaded(shot, tmp_path), 1)
    task = task_for(split, QUICK, tmp_path / "hero.safetensors", Label("hero"))
    whole = run(task, QUICK, Schedule(tmp_path / "whole"))
    asked = iter([False, False, True])
    first = run(task, QUICK, Schedule(tmp_path / "parts", preview_s=-1.0), stopped=lambda: next(asked))
    assert first.steps == 2
    resumed = run(task, QUICK, Schedule(tmp_path / "parts", resume=True))
    assert resumed.steps == whole.steps
    assert torch.equal(weights(resumed.net), weights(whole.net))


@pytest.mark.usefixtures("small_networks")
def test_an_unpainted_frame_comes_nearer_to_what_the_painter_would_do(shot: str, tmp_path: Path) -> None:
    recipe = dataclasses.replace(QUICK, steps=80, average=0.9, warm_up=5, learning_rate=5e-3, adversarial=0.0)
    task = task_for(hold_out(loaded(shot, tmp_path), 1), recipe, tmp_path / "hero.safetensors", Label("hero"))
    trained = run(task, recipe, Schedule(tmp_path / "run"))
    unseen, wanted = (stored(each, torch.float32) for each in (plate(7), painted(plate(7))))
    before = multi_scale_l1(unseen[None], wanted[None])
    assert multi_scale_l1(stylize(trained.net, unseen)[None], wanted[None]) < 0.6 * before


@pytest.mark.usefixtures("small_networks")
def test_a_full_disk_is_said_and_the_run_goes_on(shot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_for(hold_out(loaded(shot, tmp_path), 1), QUICK, tmp_path / "hero.safetensors", Label("hero"))
    saved: list[int] = []

    def full_at_first(*facts: object) -> None:
        saved.append(1)
        if len(saved) <= 2:
            raise OutputError("could not write the checkpoint: no space left")
        save_checkpoint(*facts)  # type: ignore[arg-type]

    save_checkpoint = state.save_checkpoint
    monkeypatch.setattr(state, "save_checkpoint", full_at_first)
    seen: list[TrainingProgress] = []
    trained = run(task, QUICK, Schedule(tmp_path / "run", checkpoint_s=-1.0), on_progress=seen.append)
    assert trained.steps == 4
    assert sum("no space left" in progress.note for progress in seen) == 2
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    in_the_way = tmp_path / "checkpoint.safetensors"
    (in_the_way / "folder").mkdir(parents=True)
    with pytest.raises(OutputError, match="could not write the checkpoint"):
        state.save_checkpoint(in_the_way, {}, {}, {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
