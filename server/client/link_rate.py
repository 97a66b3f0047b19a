"""How much a connection carries, as learnt from the frames that went over it."""

from __future__ import annotations

from typing import Final

from impasto.server.protocol.compression import worth_packing

WEIGHT: Final = 0.3
"""Of the newest frame."""
LEAST_BYTES: Final = 1 << 18
"""A smaller message tells the delay of the connection, not its rate."""


class LinkRate:
    """The rate of one connection in bytes per second; it is not known before the first frame."""

    def __init__(self, *, packed_first: bool) -> None:
        self.bytes_per_s: float | None = None
        self._packed_first = packed_first

    def note(self, size: int, seconds: float) -> None:
        """A frame that took this long both ways, without the time that the server had it."""
        if size < LEAST_BYTES or seconds <= 0:
            return
        rate = size / seconds
        self.bytes_per_s = rate if self.bytes_per_s is None else WEIGHT * rate + (1 - WEIGHT) * self.bytes_per_s

    def packs(self) -> bool:
        """Whether the next frame arrives sooner if its samples are packed."""
        return self._packed_first if self.bytes_per_s is None else worth_packing(self.bytes_per_s)
