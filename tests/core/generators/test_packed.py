"""A packed network is the network: the same maps, without a pixel shuffle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.core.generators.packed import apply_maps, from_cells, full_maps, pack, to_cells
from impasto.core.generators.resunet import RES_SIZES, ResUNet, ResUNetConfig
from impasto.core.generators.unet import SIZES, UNet, UNetConfig
from impasto.core.style_file import find_style, load_style, style_files

EXACT = 1e-5
"""Of a painted picture in float32: the order of the sums is another."""


def lively(net: UNet) -> UNet:
    """A folded network that is far from the identity."""
    torch.manual_seed(3)
    folded = net.fold()
    for weights in folded.parameters():
        weights.add_(0.02 * torch.randn_like(weights))
    return folded


def painted_both_ways(net: UNet, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A picture (H, W, C) painted by the network itself, in cells, and through full maps: (H, W, 3) each."""
    side, colour = net.config.shuffle, picture[..., :3]
    with torch.inference_mode():
        gain, bias = net(picture.permute(2, 0, 1)[None])
        expected = (gain[0] * colour.permute(2, 0, 1) + bias[0]).permute(1, 2, 0)
        maps = pack(net)(to_cells(picture, side))
        in_cells = from_cells(apply_maps(maps, to_cells(colour, side)), side)
        whole = full_maps(maps, side)
        return expected, in_cells, (1 + whole[..., :3]) * colour + whole[..., 3:]


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), planes=st.integers(1, 7), side=st.sampled_from([2, 4]))
def test_cells_hold_every_sample_once_in_the_order_of_rows(rows: int, columns: int, planes: int, side: int) -> None:
    picture = torch.arange(rows * columns * side * side * planes).reshape(rows * side, columns * side, planes)
    cells = to_cells(picture, side)
    assert torch.equal(from_cells(cells, side), picture)
    assert cells[0, :planes, 0, 0].tolist() == picture[0, 0].tolist()
    assert cells.permute(0, 2, 3, 1).is_contiguous(), "channels last in memory, so that no convolution turns it over"


@pytest.mark.parametrize(
    "net",
    [
        *(UNet(config) for config in SIZES.values()),
        *(ResUNet(config) for config in RES_SIZES.values()),
        UNet(UNetConfig(guides=2)),
        ResUNet(ResUNetConfig(guides=1)),
        ResUNet(ResUNetConfig(styles=3, code_width=8)),
    ],
    ids=lambda net: f"{type(net).__name__} {net.config.widths} {net.config.guides} {net.config.styles}",
)
def test_a_packed_network_paints_what_the_network_paints(net: UNet) -> None:
    net = lively(net)
    picture = torch.rand(3 * net.config.stride, 5 * net.config.stride, 3 + net.config.guides)
    expected, in_cells, through_maps = painted_both_ways(net, picture)
    size = float(expected.abs().max())
    torch.testing.assert_close(in_cells, expected, atol=EXACT * max(1.0, size), rtol=0)
    torch.testing.assert_close(through_maps, expected, atol=EXACT * max(1.0, size), rtol=0)


@pytest.mark.parametrize("name", [name for name in style_files() if name != "atelier"])
def test_a_built_in_style_keeps_its_pixels(name: str) -> None:
    net = load_style(find_style(name)).generator.fold()
    picture = torch.rand(64, 96, 3, generator=torch.Generator().manual_seed(1))
    expected, in_cells, _ = painted_both_ways(net, picture)
    torch.testing.assert_close(in_cells, expected, atol=EXACT, rtol=0)


def test_identity_is_exact_in_every_precision() -> None:
    net = load_style(find_style("identity")).generator.fold()
    picture = torch.rand(64, 96, 3)
    side = net.config.shuffle
    for dtype in (torch.float32, torch.bfloat16):
        packed = pack(net).to(dtype)
        with torch.inference_mode():
            maps = packed(to_cells(picture, side).to(dtype)).float()
        assert torch.equal(from_cells(apply_maps(maps, to_cells(picture, side)), side), picture)
