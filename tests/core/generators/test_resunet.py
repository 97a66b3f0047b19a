"""The residual U-Net for keyframes keeps the contract of every generator."""

from __future__ import annotations

import pytest
import torch

from impasto.core.generators import GENERATORS
from impasto.core.generators.resunet import RES_SIZES, ResUNet, ResUNetConfig


@pytest.fixture
def net() -> ResUNet:
    torch.manual_seed(1)
    net = ResUNet(ResUNetConfig(widths=(8, 12, 16), blocks=(0, 0, 2)))
    for parameter in net.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return net


def test_a_result_depends_on_nothing_beyond_the_radius(net: ResUNet) -> None:
    size, radius = 256, net.config.radius
    picture = torch.rand(1, 3, size, size)
    for centre in (128, 131):
        other = picture.clone()
        other[..., centre, centre] += 1
        with torch.no_grad():
            moved = (torch.cat(net(picture)) - torch.cat(net(other))).abs().amax((0, 1))
        rows, columns = torch.nonzero(moved > 0, as_tuple=True)
        reach = max(int((rows - centre).abs().max()), int((columns - centre).abs().max()))
        assert 8 < reach <= radius


def test_folding_changes_nothing_but_the_order_of_sums(net: ResUNet) -> None:
    picture = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        for trained, folded in zip(net(picture), net.fold()(picture), strict=True):
            assert torch.allclose(trained, folded, atol=1e-5)


def test_a_card_describes_it_completely() -> None:
    for config in RES_SIZES.values():
        assert GENERATORS["resunet"].build(config.as_dict()).config == config
    with pytest.raises(ValueError, match="three widths"):
        GENERATORS["resunet"].build({"widths": [8, 8]})


def test_it_starts_near_the_identity() -> None:
    torch.manual_seed(1)
    picture = torch.rand(1, 3, 64, 64)
    gain, bias = ResUNet(RES_SIZES["standard"])(picture)
    assert (gain * picture + bias - picture).abs().mean() < 0.5
