"""Tiling: a network run over a large picture in tiles, with the same result as on the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

Painter = Callable[[Tensor], Tensor]
"""A picture (H, W, C) -> what a network makes of it, (H, W, n); see `impasto.core.generators.packed`."""

AUTO_TILE = 1920
"""Side of the tiles of pictures that are too large to be painted whole. 3840x2160 has four of them: a seventh more work
for the network, in a third of the memory."""

WHOLE_PIXELS = {"cpu": 2560 * 1600}
"""Device -> pixels that it paints whole."""

WHOLE_PIXELS_ON_GPU = 4096 * 2304
"""A 4K frame fits whole into any GPU that is worth using."""

SMALLER_TILES = (2048, 1024, 512, 256)
"""Smaller and smaller tiles to try when memory runs out; the result is the same."""


def automatic_tile(device: str, pixels: int) -> int | None:
    """The side of the tiles in which a device paints a picture of this many pixels; None: whole."""
    return AUTO_TILE if pixels > WHOLE_PIXELS.get(device, WHOLE_PIXELS_ON_GPU) else None


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


def tiles_of(height: int, width: int, side: int, halo: int, stride: int = 1) -> Iterator[Tile]:
    """Tiles of at most `side` pixels that cover a picture, as equal as its `stride` allows; all views have one size.

    Inside the picture a view extends `halo` pixels beyond its tile on every side. At the picture's border its
    view is moved inward instead of being padded, so that the border is treated as in the whole picture.
    """
    (tall, view_height), (wide, view_width) = (_shares(length, side, halo, stride) for length in (height, width))
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            view_top = max(0, min(top - halo, height - view_height))
            view_left = max(0, min(left - halo, width - view_width))
            yield Tile(
                top, min(top + tall, height), left, min(left + wide, width),
                view_top, view_top + view_height, view_left, view_left + view_width,
            )  # fmt: skip


def _shares(length: int, side: int, halo: int, stride: int) -> tuple[int, int]:
    """The length of tiles along one side of a picture, and of their views: of two tiles each has one neighbour."""
    count = -(-length // side)
    share = -(-length // (count * stride)) * stride
    return share, min(share + halo * min(count - 1, 2), length)


def run_tiled(
    paint: Painter,
    picture: Tensor,
    *,
    side: int,
    halo: int,
    stride: int,
    cancelled: Callable[[], None] = lambda: None,
) -> Tensor:
    """What a network makes of a picture (H, W, C), whose sides are multiples of `stride`, tile by tile.

    `side` is rounded up to the stride, on which every view starts: with a halo of at least the network's radius the
    result equals `paint(picture)` bit for bit (CPU, float32 and bfloat16). `cancelled` is called before each tile and
    may raise.
    """
    height, width = picture.shape[:2]
    side = -(-side // stride) * stride
    whole: Tensor | None = None
    for tile in tiles_of(height, width, side, halo, stride):
        cancelled()
        part = paint(picture[tile.view_top : tile.view_bottom, tile.view_left : tile.view_right])
        if whole is None:
            whole = part.new_empty((height, width, part.shape[2]))
        whole[tile.top : tile.bottom, tile.left : tile.right] = part[
            tile.top - tile.view_top : tile.bottom - tile.view_top,
            tile.left - tile.view_left : tile.right - tile.view_left,
        ]
        del part  # before the next is made
    assert whole is not None
    return whole
