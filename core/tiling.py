"""Tiling: a network run over a large picture in tiles, with the same result as on the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""A packed network: a picture in cells -> its maps in cells; see `impasto.core.generators.packed`."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The rectangle to compute (`top`:`bottom`, `left`:`right`), and the larger one that it depends on (`view_…`)."""

    top: int
    bottom: int
    left: int
    right: int
    view_top: int
    view_bottom: int
    view_left: int
    view_right: int


def tiles_of(height: int, width: int, side: int, halo: int) -> Iterator[Tile]:
    """Tiles of at most `side` pixels that cover a picture; all views have one size.

    Inside the picture a view extends `halo` pixels beyond its tile on every side. At the picture's border its
    view is moved inward instead of being padded, so that the border is treated as in the whole picture.
    """
    view_height, view_width = min(side + 2 * halo, height), min(side + 2 * halo, width)
    for top in range(0, height, side):
        for left in range(0, width, side):
            view_top = max(0, min(top - halo, height - view_height))
            view_left = max(0, min(left - halo, width - view_width))
            yield Tile(
                top, min(top + side, height), left, min(left + side, width),
                view_top, view_top + view_height, view_left, view_left + view_width,
            )  # fmt: skip


def run_tiled(
    net: Network,
    cells: Tensor,
    *,
    side: int,
    halo: int,
    stride: int,
    cancelled: Callable[[], None] = lambda: None,
) -> Tensor:
    """The maps of a picture in cells (1, C, h, w), whose sides are multiples of `stride`, tile by tile.

    All sizes count cells. `side` is rounded up to the stride, on which every view starts: with a halo of at least the
    network's radius the result equals `net(cells)` bit for bit (CPU, float32 and bfloat16). `cancelled` is called
    before each tile and may raise.
    """
    height, width = cells.shape[2:]
    side = -(-side // stride) * stride
    whole: Tensor | None = None
    for tile in tiles_of(height, width, side, halo):
        cancelled()
        view = cells[:, :, tile.view_top : tile.view_bottom, tile.view_left : tile.view_right]
        maps = net(view.contiguous(memory_format=torch.channels_last))
        if whole is None:
            whole = torch.empty(
                (1, maps.shape[1], height, width),
                dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last,
            )  # fmt: skip
        whole[:, :, tile.top : tile.bottom, tile.left : tile.right] = maps[
            :,
            :,
            tile.top - tile.view_top : tile.bottom - tile.view_top,
            tile.left - tile.view_left : tile.right - tile.view_left,
        ]
    assert whole is not None
    return whole
