"""How much memory a frame takes while it is painted, and the size of tiles with which it fits into free memory."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from impasto.core.card import Card
from impasto.core.errors import OutOfMemory
from impasto.core.tiling import SMALLER_TILES, automatic_tile
from impasto.server.free_memory import free_memory_bytes

if TYPE_CHECKING:
    from impasto.core.style_file import Style

Tile: TypeAlias = Literal["auto", "off"] | int

# Above what one 3840x2160 half RGBA frame added to a process, the most of: opaque, with holes under its alpha, with and
# without freed pages kept (494 to 626 MiB through wheatfield in four tiles), and the parts of that as the arrays say.
COLOUR_BYTES: Final = 64
"""A pixel of the plate: its working picture and light, the painting and the result, or what a fill takes."""
TILED_BYTES: Final = 12
"""A pixel of what tiles are put together in."""
HALO: Final = 112
"""The widest halo of any network."""
NETWORK_BYTES: Final = {
    "draft": 107, "standard": 107, "fine": 428,
    "resunet draft": 110, "resunet standard": 150, "resunet fine": 200,
}  # fmt: skip
"""A pixel that the network has before it at once. 'fine' is computed from its channels; of the residual ones the
standard was measured alone (134 on the first 2016x1176 picture of a process), the others follow from its channels."""
SCALED_BYTES: Final = 72
"""Bytes for each pixel of the scaled plate and its maps, where the stroke is not 1."""
KEY_BYTES: Final = 12
"""Bytes for each pixel of the frame and each painted key: what the network makes of the key, and the difference."""
BLEND_BYTES: Final = 60
"""Bytes for each pixel of the frame while keys are laid over it: five float32 pictures, for one key at a time."""
SPARE: Final = 0.9
"""The part of the free memory that a frame may take."""


def network_of(card: Card) -> str:
    """The key of a style's network in `NETWORK_BYTES`: its size alone for 'unet', else generator and size."""
    return card.size if card.generator == "unet" else f"{card.generator} {card.size}"


def needed_bytes(size: str, pixels: int, stroke: float, tile: int | None, keys: int = 0) -> int:
    """What painting a frame of this many pixels adds to the memory of the process, whole (None) or in tiles.

    `keys` is how many painted keys are laid over it.
    """
    seen = round(pixels / stroke**2)
    at_once = seen if tile is None else min(seen, (tile + 2 * HALO) ** 2)
    maps = (TILED_BYTES * seen if tile is not None else 0) + (SCALED_BYTES * seen if stroke != 1 else 0)
    laid_over = (KEY_BYTES * keys + BLEND_BYTES) * pixels if keys else 0
    return COLOUR_BYTES * pixels + maps + laid_over + NETWORK_BYTES.get(size, NETWORK_BYTES["fine"]) * at_once


def fitting_tile(
    size: str, width: int, height: int, stroke: float, asked: int | None, tileable: bool, available: int, keys: int = 0
) -> int | None:
    """The side of the largest tiles with which a frame fits into `available` bytes; None for the whole frame.

    `asked` is the side to use where memory suffices. Raises OutOfMemory, with the size that would fit, where no tile is
    small enough.
    """
    pixels, room = width * height, int(SPARE * available)
    ladder = [asked, *(side for side in SMALLER_TILES if asked is None or side < asked)] if tileable else [asked]
    for tile in ladder:
        if needed_bytes(size, pixels, stroke, tile, keys) <= room:
            return tile
    least = needed_bytes(size, pixels, stroke, ladder[-1], keys)
    fits = room / least * pixels
    raise OutOfMemory(
        f"expected about {least / 2**30:.1f} GiB of memory for a frame of {width}x{height}, "
        f"{available / 2**30:.1f} GiB are free; {fits / 1e6:.1f} megapixels would fit, or close other programs"
    )


def usual_tile(tile: str | int, pixels: int, stroke: float, tileable: bool, device: str) -> int | None:
    """The tile that the engine would use for this frame where memory suffices."""
    if isinstance(tile, int):
        return tile
    return automatic_tile(device, round(pixels / stroke**2)) if tile == "auto" and tileable else None


class MemoryBudget:
    """Keeps account of the memory of the frames under way, so that no two of them count on the same bytes."""

    def __init__(self, available: Callable[[], int | None] = free_memory_bytes) -> None:
        self._available = available
        self._lock = threading.Lock()
        self._reserved = 0

    @contextmanager
    def reserve(
        self,
        style: Style,
        width: int,
        height: int,
        stroke: float,
        tile: Tile,
        more_bytes: int = 0,
        *,
        device: str = "cpu",
    ) -> Iterator[Tile]:
        """Reserve memory for a frame while it is painted; yields the tile to paint it with. Raises OutOfMemory.

        `more_bytes` is what the frame takes besides.
        """
        card = style.card
        keys = len(card.keys.stored) if card.keys is not None else 0
        network = network_of(card)
        pixels = width * height
        usual = usual_tile(tile, pixels, stroke, card.tileable, device)
        with self._lock:
            available = self._available()
            free = sys.maxsize if available is None else max(0, available - self._reserved - more_bytes)
            fits = fitting_tile(network, width, height, stroke, usual, card.tileable and tile != "off", free, keys)
            reserved = needed_bytes(network, pixels, stroke, fits, keys) + more_bytes
            self._reserved += reserved
        try:
            yield tile if fits == usual or fits is None else fits
        finally:
            with self._lock:
                self._reserved -= reserved
