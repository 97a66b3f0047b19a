"""Two unpaired folders: the look comes over, the content stays, and chance can be repeated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.training.data.domains import Domains, draw_pictures, load_domains
from impasto.training.loop import run
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS
from impasto.training.objectives.domains import RECIPE, task_for
from impasto.training.preview import stylize
from impasto.training.task import Schedule
from tests.training.pictures import smooth, stored, weights

pytestmark = pytest.mark.usefixtures("small_networks")

SMALL = dataclasses.replace(
    RECIPE, size="draft", minutes=0.0, steps=4, batch=2, crop=64, rim=8, mixed_precision=False, warm_up=2
)


def grey(seed: int) -> Samples:
    return smooth(72, 96, seed)[..., :1].repeat(3, axis=2)


@pytest.fixture
def domains() -> Domains:
    """Grey plates, and other pictures that are all orange."""
    return Domains(
        tuple(stored(grey(seed) * np.float32(0.7)) for seed in range(3)),
        tuple(stored(grey(seed) * np.array((1.0, 0.6, 0.1), np.float32)) for seed in range(10, 14)),
    )


@pytest.mark.slow
def test_the_colour_of_the_other_folder_comes_over_and_the_content_stays(domains: Domains, tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, steps=150, learning_rate=2e-3, average=0.9, adversarial=1.0)
    net = run(task_for(domains, recipe), recipe, Schedule(tmp_path)).net
    plate = domains.plates[0].float() / 255
    painted = stylize(net, plate)
    red, _, blue = painted.mean((1, 2))
    assert red > 1.5 * blue
    both = torch.stack((plate.mean(0).flatten(), painted.mean(0).flatten()))
    assert torch.corrcoef(both)[0, 1] > 0.8


@pytest.mark.parametrize("adversarial_form", ADVERSARIAL_FORMS)
def test_every_adversarial_form_runs_and_a_resumed_run_equals_an_undisturbed_one(
    domains: Domains, tmp_path: Path, adversarial_form: str
) -> None:
    recipe = dataclasses.replace(SMALL, adversarial_form=adversarial_form)
    whole = run(task_for(domains, recipe), recipe, Schedule(tmp_path / "whole"))
    half = dataclasses.replace(recipe, steps=2)
    rates = dataclasses.replace(half, decay_from=1.0), dataclasses.replace(recipe, decay_from=1.0)
    run(task_for(domains, rates[0]), rates[0], Schedule(tmp_path / "parts"))
    resumed = run(task_for(domains, rates[1]), rates[1], Schedule(tmp_path / "parts", resume=True))
    straight = run(task_for(domains, rates[1]), rates[1], Schedule(tmp_path / "straight"))
    assert torch.isfinite(weights(whole.net)).all()
    assert torch.equal(weights(resumed.net), weights(straight.net))


def test_crops_are_drawn_from_all_pictures_and_some_are_mirrored(domains: Domains) -> None:
    generator = torch.Generator().manual_seed(1)
    whole = tuple(picture[:, :64, :64] for picture in domains.plates)
    drawn = draw_pictures(whole, 40, 64, generator)
    kinds = {
        (index, mirrored)
        for crop in drawn
        for index, picture in enumerate(whole)
        for mirrored in (False, True)
        if torch.equal(crop, (picture.flip(2) if mirrored else picture).float() / 255)
    }
    assert kinds == {(index, mirrored) for index in range(3) for mirrored in (False, True)}


def test_one_picture_is_not_enough(tmp_path: Path) -> None:
    for folder, count in (("plates", 3), ("wanted", 1)):
        (tmp_path / folder).mkdir()
        for index in range(count):
            cv2.imwrite(str(tmp_path / folder / f"{index}.png"), np.zeros((80, 80, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"at least 2 pictures in '.*wanted', found 1"):
        load_domains(tmp_path / "plates", tmp_path / "wanted")


def test_a_recipe_for_another_generator_is_refused(domains: Domains) -> None:
    with pytest.raises(TrainingError, match="resunet"):
        task_for(domains, dataclasses.replace(SMALL, generator="unet"))


def test_pictures_smaller_than_a_crop_are_refused(domains: Domains) -> None:
    with pytest.raises(TrainingError, match="at least 80 pixels"):
        task_for(domains, dataclasses.replace(SMALL, crop=80))
