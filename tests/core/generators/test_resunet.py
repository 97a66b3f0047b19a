"""The residual U-Net for keyframes keeps the contract of every generator."""

from __future__ import annotations

import pytest
import torch

from impasto.core.generators import GENERATORS
from impasto.core.generators.resunet import RES_SIZES, ResUNet, ResUNetConfig
from impasto.core.tiling import run_tiled


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


def test_tiles_equal_the_full_picture(net: ResUNet) -> None:
    picture = torch.rand(1, 3, 160, 200)
    folded = net.fold()
    with torch.inference_mode():
        whole = folded(picture)
        tiled = run_tiled(folded, picture, side=64, halo=net.config.halo, stride=net.config.stride)
    for ours, theirs in zip(whole, tiled, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("size", RES_SIZES)
def test_tiles_of_what_renders_equal_the_full_picture_bit_for_bit(size: str) -> None:
    torch.manual_seed(1)
    folded = ResUNet(RES_SIZES[size]).fold().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    picture = torch.rand(1, 3, 256, 328)
    with torch.inference_mode():
        whole = folded(picture)
        tiled = run_tiled(folded, picture, side=128, halo=folded.config.halo, stride=folded.config.stride)
    for ours, theirs in zip(whole, tiled, strict=True):
        assert torch.equal(ours, theirs)


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
