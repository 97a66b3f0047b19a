"""The painter of a warm style: it makes room for a frame before it begins, and once more where that was short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from impasto.core.engine import AUTO_TILE, Precision, Rendered, choose_precision
from impasto.core.errors import DeviceError, OutOfMemory
from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.style import Style
from impasto.server.worker.loop import DeviceLost
from impasto.server.worker.memory_budget import fitting_tile, free_bytes, needed_bytes, network_of, usual_tile
from impasto.server.worker.style_cache import Held, Tile, WarmStyles


class Reservations:
    """Memory that the frames under way were promised, so that two of them are not promised the same."""

    def __init__(self, available: Callable[[], int] = free_bytes) -> None:
        self._available = available
        self._lock = threading.Lock()
        self._promised = 0

    @contextmanager
    def for_frame(self, style: Style, width: int, height: int, stroke: float, tile: Tile) -> Iterator[Tile]:
        """Keep room for a frame while it is painted; gives the tile to paint it with. Raises OutOfMemory."""
        card = style.card
        keys = len(card.keys.frames) if card.keys is not None else 0
        network = network_of(card)
        pixels = width * height
        usual = usual_tile(tile, pixels, stroke, card.tileable, AUTO_TILE)
        with self._lock:
            free = self._available() - self._promised
            fits = fitting_tile(network, width, height, stroke, usual, card.tileable and tile != "off", free, keys)
            promised = needed_bytes(network, pixels, stroke, fits, keys)
            self._promised += promised
        try:
            yield tile if fits == usual or fits is None else fits
        finally:
            with self._lock:
                self._promised -= promised


class StylePainter:
    """One style, as it was when this was made, painting on one device. Any thread may render.

    A frame that does not fit is painted in smaller tiles, which changes nothing but the time; where the device runs
    out of memory all the same, the other styles are unloaded and the frame is tried once more.
    """

    def __init__(
        self, warm: WarmStyles, held: Held, device: str, precision: Precision, tile: Tile, room: Reservations
    ) -> None:
        self._warm, self._held, self._device, self._room = warm, held, device, room
        self._precision, self._tile = precision, tile

    @property
    def delivers(self) -> bool:
        """Whether the device itself writes a result to where it is wanted (`into`)."""
        return self._device.startswith("cuda")

    @property
    def style(self) -> Style:
        """The style that paints."""
        return self._held.style

    @property
    def precision(self) -> str:
        """What the network counts in."""
        return choose_precision(self._precision, self._device)

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = lambda: None,
        into: Pixels | None = None,
    ) -> Rendered:
        """As `Engine.render`; its report says what was done for want of memory. DeviceLost for a device that failed."""
        settings = settings or FrameSettings()
        size = settings.network_size(frame)
        stroke = (settings.params or self.style.card.defaults).stroke

        def attempt(tile: Tile) -> Rendered | None:
            """The frame, None where memory ran out; the tensors of the attempt are gone by then."""
            engine = self._warm.engine(self._held, self._precision, tile)
            try:
                return engine.render(frame, settings, matte=matte, cancelled=cancelled, into=into)
            except Exception as error:
                if not self._is_shortage(error):
                    raise
                return None

        with self._room.for_frame(self.style, *size, stroke, self._tile) as tile:
            rendered = attempt(tile)
            if rendered is not None:
                return self._noted(rendered, tile, [])
            gone = self._warm.let_others_go(self._held)
            rendered = attempt(tile)
            if rendered is not None:
                return self._noted(rendered, tile, gone)
        raise OutOfMemory(
            f"expected memory for a frame of {size[0]}x{size[1]} on {self._device}, there is too little even in small "
            f"tiles and with {len(gone)} other styles unloaded; close other programs, or use a smaller style or frame"
        )

    def _noted(self, rendered: Rendered, tile: Tile, gone: list[str]) -> Rendered:
        notes = list(rendered.report.notes)
        if tile != self._tile:
            notes.append(f"memory is short: painted in tiles of {tile} pixels from the start, the result is the same")
        if gone:
            notes.append(f"memory ran short on {self._device}: {', '.join(gone)} had to be unloaded")
        return replace(rendered, report=replace(rendered.report, notes=tuple(notes)))

    def _is_shortage(self, error: Exception) -> bool:
        """Whether memory ran out. DeviceLost for an error of a device that cannot be trusted after it."""
        import cv2
        import torch

        if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, cv2.error):
            return error.code == cv2.Error.STS_NO_MEM
        if isinstance(error, RuntimeError | DeviceError) and self._device != "cpu":
            # The network's errors are asynchronous there: which of them leave the device sound cannot be told.
            raise DeviceLost(f"the device {self._device} failed: {error}") from error
        return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
