"""The run itself, on two tiny pairs: it learns, resumes, survives and exports."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.core.engine import Engine
from impasto.core.errors import TrainingError
from impasto.core.generators.unet import SIZES, UNet, UNetConfig
from impasto.core.style import load_style
from impasto.training.data.pairs import Pair, as_float
from impasto.training.export import Label, write_style
from impasto.training.loop import Progress, Schedule, Trained, run
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.objectives.pairs import task_for
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe

RECIPE = Recipe(
    generator="unet",
    size="draft",
    steps=6,
    batch=2,
    crop=48,
    rim=8,
    critic_from=1,
    consistency_every=2,
    mixed_precision=False,
    noise=0.0,
    gain=0.0,
)


@pytest.fixture
def pairs() -> list[Pair]:
    generator = torch.Generator().manual_seed(1)
    plates = [
        torch.nn.functional.interpolate(torch.rand(1, 3, 9, 9, generator=generator), size=(72, 72), mode="bicubic")
        for _ in range(2)
    ]
    plates = [(plate[0].clamp(0, 1) * 255).to(torch.uint8) for plate in plates]
    return [Pair(f"p{index}", plate, plate.flip(0)) for index, plate in enumerate(plates)]


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "draft", UNetConfig(widths=(16, 24), blocks=(1, 1)))


def train(pairs: list[Pair], recipe: Recipe, schedule: Schedule, **more: Any) -> Trained:
    return run(task_for(pairs, recipe), recipe, schedule, **more)


def weights(net: UNet) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_a_hundred_steps_bring_the_result_a_quarter_nearer_to_the_target(pairs: list[Pair], tmp_path: Path) -> None:
    seen: list[Progress] = []
    recipe = dataclasses.replace(RECIPE, steps=100, average=0.9, adversarial=0.0, warm_up=5, learning_rate=3e-3)
    trained = train(pairs, recipe, Schedule(tmp_path), on_progress=seen.append)
    assert seen[-1].step == 100
    plate, target = as_float(pairs[0].before), as_float(pairs[0].after)
    untouched = multi_scale_l1(plate[None], target[None])
    assert multi_scale_l1(stylize(trained.net, plate)[None], target[None]) < 0.75 * untouched
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_a_resumed_run_equals_an_undisturbed_one(pairs: list[Pair], tmp_path: Path) -> None:
    whole = train(pairs, RECIPE, Schedule(tmp_path / "whole"))
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    first = train(pairs, RECIPE, Schedule(tmp_path / "parts"), stopped=after_three)
    assert first.steps == 3
    resumed = train(pairs, RECIPE, Schedule(tmp_path / "parts", resume=True))
    assert resumed.steps == whole.steps == 6
    assert torch.equal(weights(resumed.net), weights(whole.net))


def test_a_run_on_other_pictures_does_not_resume(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    with pytest.raises(TrainingError, match="got others"):
        train(pairs[:1], RECIPE, Schedule(tmp_path, resume=True))


def test_a_damaged_checkpoint_is_one_sentence(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="could not use it"):
        train(pairs, RECIPE, Schedule(tmp_path, resume=True))


def test_pictures_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    tiny = torch.zeros(3, 20, 90, dtype=torch.uint8)
    with pytest.raises(TrainingError, match=r"at least 48 pixels .* has 20"):
        train([Pair("tiny", tiny, tiny)], RECIPE, Schedule(tmp_path))


def test_the_folder_holds_checkpoint_log_and_preview_and_nothing_half_written(
    pairs: list[Pair], tmp_path: Path
) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "preview.png"]


def test_a_trained_network_becomes_a_style_that_renders(pairs: list[Pair], tmp_path: Path) -> None:
    trained = train(pairs, RECIPE, Schedule(tmp_path / "run"))
    label = Label("mine", licence="CC0-1.0", credits=("me",))
    plate = as_float(pairs[0].before)
    style = write_style(trained, RECIPE, tmp_path / "mine.safetensors", label, pictures=2, shown=plate)
    assert style.path is not None
    card = load_style(style.path).card
    assert (card.name, card.title, card.licence) == ("mine", "Mine", "CC0-1.0")
    assert card.training is not None
    assert card.training.steps == 6
    assert card.training.data_sha256 == trained.data_digest
    assert card.preview
    assert Engine(style.path, device="cpu").style.card == card
