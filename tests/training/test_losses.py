"""Losses: zero where nothing is wrong, larger where more is wrong, and their known values."""

from __future__ import annotations

import pytest
import torch

from impasto.training.losses.adversarial import critic_hinge, generator_hinge, visible_to_critic
from impasto.training.losses.consistency import shift_consistency, shifted
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
