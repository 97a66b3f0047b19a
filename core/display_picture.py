"""A frame as a display shows it, and as a person looks at it."""

from __future__ import annotations

import numpy as np

from impasto.core import colour
from impasto.core.frame import Frame, Samples
from impasto.core.media.flatten import flatten
from impasto.core.media.orientation import is_across, upright_as


def to_display(frame: Frame, *, input_space: str | None = None) -> Samples:
    """The colour layer over the display window: (H, W, 3) float32, sRGB-encoded Rec.709, clipped to [0, 1].

    Grey comes as three equal channels, alpha is laid over black, NaN shows as black and infinity as white.
    Neither pixel aspect nor orientation is applied. Raises UnknownName for a colour space that does not exist.
    """
    plate = colour.to_float(flatten(frame, "none"))
    straight = np.repeat(plate, 3, axis=2) if plate.shape[2] == 1 else plate
    space = colour.plate_space(frame, input_space)
    shown = straight if space.is_working else colour.encode(colour.to_linear(straight, space))
    return np.asarray(np.clip(np.nan_to_num(shown, nan=0.0, posinf=1.0, neginf=0.0), 0, 1), np.float32)


def to_viewer(frame: Frame) -> tuple[Samples, float]:
    """The picture of `to_display` turned as a person looks at it, and its width by its height with square pixels."""
    shown = to_display(frame)
    aspect = frame.part.pixel_aspect * shown.shape[1] / shown.shape[0]
    return upright_as(frame.part, shown), 1 / aspect if is_across(frame.part) else aspect
