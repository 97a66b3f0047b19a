"""A network over a large picture in tiles, with the very result of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Maps = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Tile:
    """What to compute (`top`:`bottom`, `left`:`right`) and what the network must see for it (`see_…`)."""

    top: int
    bottom: int
    left: int
    right: int
    see_top: int
    see_bottom: int
    see_left: int
    see_right: int


def tiles_of(height: int, width: int, side: int, halo: int) -> Iterator[Tile]:
    """Tiles of at most `side` pixels that cover a picture, all seeing a rectangle of one size.

    Inside the picture a tile sees `halo` more pixels on every side. At the picture's border its
    view is moved inward instead of being padded, so that the border is treated as in the whole.
    """
    see_height, see_width = min(side + 2 * halo, height), min(side + 2 * halo, width)
    for top in range(0, height, side):
        for left in range(0, width, side):
            see_top = max(0, min(top - halo, height - see_height))
            see_left = max(0, min(left - halo, width - see_width))
            yield Tile(
                top, min(top + side, height), left, min(left + side, width),
                see_top, see_top + see_height, see_left, see_left + see_width,
            )  # fmt: skip


def run_tiled(
    net: Callable[[Tensor], Maps],
    picture: Tensor,
    *,
    side: int,
    halo: int,
    stride: int,
    cancelled: Callable[[], None] = lambda: None,
) -> Maps:
    """Gain and bias of a picture (1, C, H, W) whose sides are multiples of `stride`, tile by tile.

    `side` is rounded up to the stride, on which every view starts: with a halo of at least the
    network's radius the result equals `net(picture)` bit for bit (CPU, float32). `cancelled` is
    called before each tile and may raise.
    """
    height, width = picture.shape[2:]
    side = -(-side // stride) * stride
    gain = picture.new_empty((1, 3, height, width))
    bias = torch.empty_like(gain)
    for tile in tiles_of(height, width, side, halo):
        cancelled()
        seen = picture[:, :, tile.see_top : tile.see_bottom, tile.see_left : tile.see_right]
        maps = net(seen.contiguous(memory_format=torch.channels_last))
        for whole, part in zip((gain, bias), maps, strict=True):
            whole[:, :, tile.top : tile.bottom, tile.left : tile.right] = part[
                :,
                :,
                tile.top - tile.see_top : tile.bottom - tile.see_top,
                tile.left - tile.see_left : tile.right - tile.see_left,
            ]
    return gain, bias
