"""Losses: zero where nothing is wrong, larger where more is wrong, and their known values."""

from __future__ import annotations

import pytest
import torch

from impasto.training.discriminators import new_critic
from impasto.training.losses.adversarial import (
    ADVERSARIAL_FORMS,
    critic_hinge,
    generator_hinge,
    gradient_penalty,
    visible_to_critic,
)
from impasto.training.losses.consistency import shift_consistency, shifted
from impasto.training.losses.contrastive import Projections, draw_places, patch_nce
from impasto.training.losses.reconstruction import multi_scale_l1, range_penalty
from impasto.training.losses.texture import laplacian, laplacian_swd


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))


def test_reconstruction_of_the_target_itself_costs_nothing(picture: torch.Tensor) -> None:
    assert multi_scale_l1(picture, picture) == 0


def test_a_constant_offset_costs_that_offset(picture: torch.Tensor) -> None:
    torch.testing.assert_close(multi_scale_l1(picture + 0.25, picture), torch.tensor(0.25))


def test_range_penalty_counts_only_what_lies_outside(picture: torch.Tensor) -> None:
    assert range_penalty(picture) == 0
    torch.testing.assert_close(range_penalty(torch.full((1, 3, 4, 4), 1.5)), torch.tensor(0.5))


def test_texture_distance_knows_strokes_from_blur(picture: torch.Tensor) -> None:
    torch.manual_seed(0)
    blurred = torch.nn.functional.avg_pool2d(picture, 5, 1, 2)
    moved = picture.roll((7, 5), (2, 3))
    assert laplacian_swd(moved, picture) < 0.8 * laplacian_swd(blurred, picture)


def test_a_flat_reference_does_not_make_the_texture_loss_explode() -> None:
    torch.manual_seed(0)
    flat = torch.full((1, 3, 64, 64), 0.6)
    assert laplacian_swd(flat + 0.02 * torch.randn(flat.shape), flat) < 5


def test_the_laplacian_levels_add_up_to_the_picture(picture: torch.Tensor) -> None:
    levels = laplacian(picture, 3)
    rebuilt = levels[-1]
    for level in reversed(levels[:-1]):
        rebuilt = level + torch.nn.functional.interpolate(rebuilt, size=level.shape[2:], mode="bilinear")
    torch.testing.assert_close(rebuilt, picture)


def test_hinge_is_zero_beyond_the_margin_and_two_when_undecided() -> None:
    sure, none = torch.full((1, 1, 2, 2), 3.0), torch.zeros(1, 1, 2, 2)
    assert critic_hinge(sure, -sure) == 0
    assert critic_hinge(none, none) == 2
    assert generator_hinge(sure) == -3


def test_the_critic_sees_a_bounded_result() -> None:
    seen = visible_to_critic(torch.tensor([-9.0, 0.5, 9.0]))
    torch.testing.assert_close(seen, torch.tensor([-0.05, 0.5, 1.05]))


def test_a_whole_pixel_shift_moves_samples_exactly(picture: torch.Tensor) -> None:
    moved = shifted(picture, torch.tensor([[3.0, 0.0], [0.0, -2.0]]))
    torch.testing.assert_close(moved[0, :, :, 3:], picture[0, :, :, :-3], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[1, :, :-2], picture[1, :, 2:], atol=1e-5, rtol=0)


def test_what_moves_with_the_plate_is_consistent_and_what_sticks_to_the_screen_is_not(picture: torch.Tensor) -> None:
    offset = torch.tensor([[1.5, 0.5], [-0.5, 2.0]])
    assert shift_consistency(picture, shifted(picture, offset), offset, rim=8) < 1e-6
    assert shift_consistency(picture, picture, offset, rim=8) > 0.05


@pytest.mark.parametrize("name", ADVERSARIAL_FORMS)
def test_an_adversarial_form_rewards_each_side_for_winning(name: str) -> None:
    form = ADVERSARIAL_FORMS[name]
    low, high = torch.full((2, 1, 3, 3), -0.5), torch.full((2, 1, 3, 3), 0.5)
    assert form.critic(high, low) < form.critic(low, high)
    assert form.generator(high) < form.generator(low)


def test_the_gradient_penalty_of_a_linear_critic_is_known() -> None:
    critic = torch.nn.Conv2d(3, 1, 1, bias=False)
    torch.nn.init.constant_(critic.weight, 2.0)
    real, fake = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    # Each of 16 scores has the slope (2, 2, 2) at its own pixel: norm sqrt(16 * 12), over sqrt(16) scores.
    torch.testing.assert_close(gradient_penalty(critic, real, fake), torch.tensor(10 * (12**0.5 - 1) ** 2))


def test_the_critic_learns_from_its_penalty() -> None:
    critic = new_critic("wgan-gp", conditional=False)
    gradient_penalty(critic, torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)).backward()
    assert all(layer.grad is not None and layer.grad.any() for layer in critic.parameters() if layer.ndim > 1)


def test_contrast_is_small_where_every_place_is_itself_and_chance_where_all_are_alike() -> None:
    torch.manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(2, 50, 64), dim=2)
    assert patch_nce([unit], [unit]) < 0.05
    assert patch_nce([unit], [unit.roll(1, dims=1)]) > 5
    same = unit[:, :1].expand(2, 50, 64)
    torch.testing.assert_close(patch_nce([same], [same]), torch.tensor(50.0).log())


def test_heads_look_at_the_same_places_of_every_picture() -> None:
    torch.manual_seed(0)
    features = (torch.rand(2, 8, 6, 10), torch.rand(2, 12, 3, 5))
    places = draw_places(features, 9)
    assert [len(set(level.tolist())) for level in places] == [9, 9]
    heads = Projections((8, 12), out=4)
    for level in heads(features, places):
        assert level.shape == (2, 9, 4)
        torch.testing.assert_close(level.norm(dim=2), torch.ones(2, 9))
