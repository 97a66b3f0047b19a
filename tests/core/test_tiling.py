"""Tiles equal the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.core.generators.unet import SIZES, UNetConfig
from impasto.core.tiling import run_tiled, tiles_of
from tests.core.generators.test_unet import lively


@pytest.mark.parametrize("size", SIZES)
@settings(max_examples=6)
@given(rows=st.integers(1, 26), columns=st.integers(1, 26), side=st.integers(8, 160))
def test_a_tile_with_its_halo_equals_the_whole_bit_for_bit(size: str, rows: int, columns: int, side: int) -> None:
    config = SIZES[size]
    net = lively(config).fold().to(memory_format=torch.channels_last)
    picture = torch.rand(1, 3, rows * config.stride, columns * config.stride)
    picture = picture.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = net(picture)
        tiled = run_tiled(net, picture, side=side, halo=config.halo, stride=config.stride)
    for one, other in zip(whole, tiled, strict=True):
        assert torch.equal(one, other)


def test_half_the_halo_does_not_equal_the_whole() -> None:
    config = UNetConfig(widths=(8, 16), blocks=(1, 2))
    net = lively(config).fold()
    picture = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        whole, _ = net(picture)
        tiled, _ = run_tiled(net, picture, side=32, halo=config.halo // 2 // 8 * 8, stride=config.stride)
    assert not torch.equal(whole, tiled)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(8, 200), halo=st.integers(0, 64))
def test_tiles_cover_every_pixel_once_and_see_what_they_paint(height: int, width: int, side: int, halo: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.int32)
    for tile in tiles_of(height, width, side, halo):
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert 0 <= tile.view_top <= tile.top < tile.bottom <= tile.view_bottom <= height
        assert 0 <= tile.view_left <= tile.left < tile.right <= tile.view_right <= width
        assert tile.view_top in (0, tile.top - halo) or tile.view_bottom == height
        assert tile.view_left in (0, tile.left - halo) or tile.view_right == width
    assert bool((covered == 1).all())
