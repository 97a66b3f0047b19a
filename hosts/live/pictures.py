"""The pictures that pass through a live session, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, display-encoded as sRGB, upright, rows without gaps. Nobody writes into it once it is handed on."""


@dataclass(frozen=True, slots=True, eq=False)
class SourcePlate:
    """A picture of the source."""

    number: int
    """Counted from 1 as they come."""
    pixels: Picture
    taken_s: float
    """When it came, or was due, on the session's clock."""
    frame: int = 0
    """The number of the frame in its movie or sequence; 0 for a camera or stream."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class ShownPicture:
    """What the sinks get for a plate."""

    plate: SourcePlate
    pixels: Picture
    """The painting, on a lower rung smaller than the plate; or, with `mark`, what bears the mark."""
    mark: str = ""
    """Why it is no fresh painting of the plate; empty where it is."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundChunk:
    """Sound that belongs to the pictures taken from a moment on."""

    samples: npt.NDArray[Any]
    """(2, n) float32, 48 kHz."""
    at_s: float
    """When its first sample was due, on the session's clock."""


SOUND_RATE = 48_000
"""Samples per second of a `SoundChunk`."""
