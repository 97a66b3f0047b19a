"""Light and codecs as augmentation: in register, small, the same for the same seed, and off where they are off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.core.colour import decode
from impasto.training.data.augmentation import compressed, exposed, with_blocks_at
from impasto.training.data.half_size import halved
from impasto.training.data.pairs import Pair
from impasto.training.loop import run
from impasto.training.objectives.pairs import disturbed, task_for
from impasto.training.recipe import Recipe
from impasto.training.task import Schedule
from tests.training.pictures import smooth, stored


def plates(count: int = 4, side: int = 64) -> Tensor:
    return torch.stack([stored(smooth(side, side, seed), torch.float32) for seed in range(1, count + 1)])


def test_an_exposure_error_is_one_factor_of_light_for_each_picture() -> None:
    torch.manual_seed(1)
    before = 0.7 * plates()
    after = exposed(before, 0.5)
    factors = []
    for one, other in zip(before, after, strict=True):
        ratio = decode(other.numpy()) / np.maximum(decode(one.numpy()), 1e-6)
        inside = (other.numpy() < 1) & (one.numpy() > 0.05)
        factors.append(float(np.median(ratio[inside])))
        np.testing.assert_allclose(ratio[inside], factors[-1], rtol=1e-3)
        assert 2**-0.5 <= factors[-1] <= 2**0.5
    assert len({round(factor, 3) for factor in factors}) == len(factors)
    assert after.max() <= 1


def test_about_the_share_that_is_asked_for_is_compressed_and_stays_in_register() -> None:
    torch.manual_seed(2)
    before = plates(30)
    after = compressed(before, 0.5)
    changed = [index for index in range(30) if not torch.equal(before[index], after[index])]
    assert 8 < len(changed) < 22
    for index in changed:
        here = (after[index] - before[index]).abs().mean()
        assert 0 < here < 0.05
        assert here < (after[index].roll(1, 2) - before[index]).abs().mean()


def test_the_blocks_of_a_codec_may_lie_anywhere() -> None:
    (picture,) = plates(1)
    whole = with_blocks_at(picture, 20, 0, 0)
    assert whole.shape == picture.shape
    # Cut off by a row and a column, it is another coding of the same picture.
    assert (with_blocks_at(picture, 20, 3, 5) - whole).abs().max() > 0


def test_augmentation_is_repeated_by_its_seed_and_goes_on_from_a_state() -> None:
    recipe = Recipe(exposure=0.2, compression=0.5)
    torch.manual_seed(3)
    first = disturbed(plates(), recipe)
    state = torch.get_rng_state()
    second = disturbed(plates(), recipe)
    torch.manual_seed(3)
    assert torch.equal(disturbed(plates(), recipe), first)
    torch.set_rng_state(state)
    assert torch.equal(disturbed(plates(), recipe), second)
    assert not torch.equal(first, second)


def test_what_is_off_changes_nothing() -> None:
    off = Recipe(noise=0.0, gain=0.0, exposure=0.0, compression=0.0)
    assert torch.equal(disturbed(plates(), off), plates())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16])
def test_pairs_at_half_size_stay_in_register_and_are_judged_where_all_of_them_is(dtype: torch.dtype) -> None:
    picture = (plates(1, 128)[0] * (255 if dtype == torch.uint8 else 1)).to(dtype)
    loss_mask = torch.ones(1, 128, 128, dtype=torch.bool)
    loss_mask[:, :, :65] = False
    (half,) = halved([Pair("one", picture, picture.clone(), loss_mask)], 64)
    assert (half.before.shape, half.before.dtype) == ((3, 64, 64), dtype)
    assert torch.equal(half.before, half.after)
    expected = torch.nn.functional.avg_pool2d(picture[None].float(), 2)[0]
    assert (half.before.float() - expected).abs().max() <= (0.5 if dtype == torch.uint8 else 1e-3)
    assert half.loss_mask is not None
    assert half.loss_mask[0, 0].nonzero()[:, 0].tolist() == list(range(33, 64))
    assert halved([half], 64) == [half]


def test_a_progressive_run_sees_half_sizes_first_and_whole_ones_later() -> None:
    half_black = torch.zeros(3, 128, 128, dtype=torch.uint8)
    half_black[:, ::2] = 255
    recipe = Recipe(progressive=0.5, crop=64, size="draft", batch=1, texture=0.0, adversarial=0.0)
    task = task_for([Pair("lines", half_black, half_black)], recipe)
    net = task.net()
    losses = []
    for fraction in (0.0, 0.9):
        torch.manual_seed(1)
        task.on_fraction(fraction)
        losses.append(task.step(net, task.critic(), 1, torch.Generator().manual_seed(1)).figures["reconstruction"])
    # Lines of one pixel are grey at half the size, on which a new network errs less.
    assert losses[0] < losses[1]


def test_a_run_tells_its_task_how_far_it_is_before_every_step(tmp_path: Path) -> None:
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    recipe = Recipe(steps=4, crop=48, size="draft", batch=1, texture=0.0, adversarial=0.0)
    told: list[float] = []
    task = replace(task_for([Pair("black", picture, picture)], recipe), on_fraction=told.append)
    run(task, recipe, Schedule(tmp_path, preview_s=1e9, checkpoint_s=1e9))
    assert told == [0, 0.25, 0.5, 0.75]
