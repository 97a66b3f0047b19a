"""The painter of a cached style: it reserves memory for a frame, and evicts other styles where that was short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from impasto.core.device.choice import Precision, choose_precision
from impasto.core.engine import Rendered
from impasto.core.errors import DeviceError, OutOfMemory
from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.style_file import Style
from impasto.server.shots.memory import resize_bytes
from impasto.server.worker.memory_budget import MemoryBudget, Tile
from impasto.server.worker.painting_device import DeviceLost
from impasto.server.worker.style_cache import CachedStyle, StyleCache


class StylePainter:
    """One style, as it was when this was made, painting on one device. Any thread may render.

    A frame that does not fit is painted in smaller tiles, which changes nothing but the time; where the device runs
    out of memory all the same, the other styles are unloaded and the frame is tried once more.
    """

    def __init__(
        self,
        styles: StyleCache,
        cached: CachedStyle,
        device: str,
        precision: Precision,
        tile: Tile,
        memory: MemoryBudget,
    ) -> None:
        self._styles, self._cached, self._device, self._memory = styles, cached, device, memory
        self._precision, self._tile = precision, tile

    @property
    def delivers(self) -> bool:
        """Whether the device itself writes a result to where it is wanted (`into`)."""
        return self._device.startswith("cuda")

    @property
    def style(self) -> Style:
        """The style that paints."""
        return self._cached.style

    def precision_for(self, *, eight_bit: bool) -> str:
        """As `Engine.precision_for`."""
        return choose_precision(self._precision, self._device, eight_bit=eight_bit)

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
            engine = self._styles.engine(self._cached, self._precision, tile)
            try:
                return engine.render(frame, settings, matte=matte, cancelled=cancelled, into=into)
            except Exception as error:
                if not self._is_shortage(error):
                    raise
                return None

        from impasto.core.device.shortage import advice, own_room_bytes

        room, window = own_room_bytes(), frame.part.data_window
        more = resize_bytes(settings, window.width, window.height)
        with self._memory.reserve(self.style, *size, stroke, self._tile, more, device=self._device) as tile:
            rendered = attempt(tile)
            if rendered is not None:
                return self._noted(rendered, tile, [])
            evicted = self._styles.evict_others(self._cached)
            rendered = attempt(tile)
            if rendered is not None:
                return self._noted(rendered, tile, evicted)
        raise OutOfMemory(
            f"expected memory for a frame of {size[0]}x{size[1]} on {self._device}, there is too little even in "
            f"small tiles and with {len(evicted)} other styles unloaded; {advice(*size, room)}"
        )

    def _noted(self, rendered: Rendered, tile: Tile, evicted: list[str]) -> Rendered:
        notes = list(rendered.report.notes)
        if tile != self._tile:
            notes.append(f"memory is short: painted in tiles of {tile} pixels from the start, the result is the same")
        if evicted:
            notes.append(f"memory ran short on {self._device}: {', '.join(evicted)} had to be unloaded")
        return replace(rendered, report=replace(rendered.report, notes=tuple(notes)))

    def _is_shortage(self, error: Exception) -> bool:
        """Whether memory ran out. DeviceLost for an error of a device that cannot be trusted after it."""
        from impasto.core.device.shortage import is_shortage

        if isinstance(error, OutOfMemory) or is_shortage(error):
            return True
        if isinstance(error, RuntimeError | DeviceError) and self._device != "cpu":
            # The network's errors are asynchronous there: which of them leave the device sound cannot be told.
            raise DeviceLost(f"the device {self._device} failed: {error}") from error
        return False
