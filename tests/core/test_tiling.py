"""Tiles equal the whole."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from impasto.core.generators.packed import maps_of, pack
from impasto.core.generators.resunet import RES_SIZES, ResUNet, ResUNetConfig
from impasto.core.generators.unet import SIZES, UNetConfig
from impasto.core.tiling import run_tiled, tiles_of
from tests.core.generators.test_unet import lively

PRECISIONS = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("config", [*SIZES.values(), *RES_SIZES.values()], ids=lambda config: f"{config.widths}")
@settings(max_examples=6)
@given(rows=st.integers(1, 26), columns=st.integers(1, 26), side=st.integers(64, 640))
def test_a_tile_with_its_halo_equals_the_whole_bit_for_bit(
    config: UNetConfig, dtype: torch.dtype, rows: int, columns: int, side: int
) -> None:
    # On AMX oneDNN answers a picture of one stride's width in bfloat16 in another way each time: the engine widens it.
    assume(dtype != torch.bfloat16 or columns > 1)
    torch.manual_seed(1)
    net = (
        pack((ResUNet(config) if isinstance(config, ResUNetConfig) else lively(config)).fold())
        .to(dtype)
        .to(memory_format=torch.channels_last)
    )
    paint = partial(maps_of, net, config.shuffle, dtype)
    picture = torch.rand(rows * config.stride, columns * config.stride, 3)
    with torch.inference_mode():
        whole = paint(picture)
        tiled = run_tiled(paint, picture, side=side, halo=config.halo, stride=config.stride)
    assert torch.equal(whole, tiled)


def test_half_the_halo_does_not_equal_the_whole() -> None:
    config = UNetConfig(widths=(8, 16), blocks=(1, 2))
    paint = partial(maps_of, pack(lively(config).fold()), config.shuffle, torch.float32)
    picture = torch.rand(160, 160, 3)
    with torch.inference_mode():
        whole = paint(picture)
        tiled = run_tiled(paint, picture, side=32, halo=config.halo // 2 // 8 * 8, stride=config.stride)
    assert not torch.equal(whole, tiled)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(8, 200), halo=st.integers(0, 64))
def test_tiles_cover_every_pixel_once_and_see_what_they_paint(height: int, width: int, side: int, halo: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.int32)
    tiles = list(tiles_of(height, width, side, halo))
    assert len({(tile.view_bottom - tile.view_top, tile.view_right - tile.view_left) for tile in tiles}) == 1
    assert len(tiles) == -(-height // side) * -(-width // side)
    for tile in tiles:
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert 0 <= tile.view_top <= tile.top < tile.bottom <= tile.view_bottom <= height
        assert 0 <= tile.view_left <= tile.left < tile.right <= tile.view_right <= width
        assert tile.view_top in (0, tile.top - halo) or tile.view_bottom == height
        assert tile.view_left in (0, tile.left - halo) or tile.view_right == width
    assert bool((covered == 1).all())


def test_four_tiles_of_a_4k_frame_see_one_neighbour_on_two_sides() -> None:
    tiles = list(tiles_of(2160, 3840, 1920, 96, 8))
    assert [(tile.top, tile.left) for tile in tiles] == [(0, 0), (0, 1920), (1080, 0), (1080, 1920)]
    assert {(tile.view_bottom - tile.view_top, tile.view_right - tile.view_left) for tile in tiles} == {(1176, 2016)}
