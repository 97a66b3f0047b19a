"""Levels above white and below black, beside integer samples that cannot hold them.

Codes of a limited-range movie reach beyond its white and black, and its colours beyond those of its primaries. A frame
of integers holds such a pixel clipped, and what was clipped off as excess, which goes around the network like the light
of an HDR plate. Few pixels of a picture have any.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.record import record

_SEEN_AMOUNT = 0.02
"""Excess up to this, five codes of 255, is the ringing of codecs and of chroma that was scaled."""
_SEEN_SHARE = 0.002

_Floats = npt.NDArray[np.float32]


@record
class Excess:
    """What was clipped off the colour of some pixels.

    `places` is (N,) integers, row * width + column, ascending. `amount` is (N, 3) float32 in units of the samples'
    white, to be added to them.
    """

    places: npt.NDArray[np.intp]
    amount: _Floats

    def is_seen(self, pixels: int) -> bool:
        """Whether a picture of so many pixels looks different to somebody who grades it, where this is lost."""
        if len(self.places) <= _SEEN_SHARE * pixels:
            return False
        seen = (np.abs(self.amount) > _SEEN_AMOUNT).any(axis=1)
        return int(np.count_nonzero(seen)) > _SEEN_SHARE * pixels


def with_excess(colour: _Floats, excess: Excess | None) -> _Floats:
    """Samples (H, W, 3) in units of their white with what was clipped off them, unclamped; a new array where needed."""
    if excess is None:
        return colour
    whole = np.array(colour, np.float32, order="C")
    whole.reshape(-1, 3)[excess.places] += excess.amount
    return whole


def excess_of(colour: _Floats, *, tolerance: float = 0.5 / 255) -> Excess | None:
    """What of float samples (H, W, 3) lies outside [0, 1] by more than a tolerance; None for nothing.

    NaN is none, infinity the largest half.
    """
    lowest, highest = (-tolerance,) * 3, (1 + tolerance,) * 3
    inside = cv2.inRange(np.ascontiguousarray(colour), lowest, highest).ravel()
    if cv2.countNonZero(inside) == inside.size:
        return None
    places = np.flatnonzero(inside == 0)
    found = np.nan_to_num(colour.reshape(-1, 3).take(places, axis=0), nan=0.0, posinf=65504.0, neginf=-65504.0)
    return Excess(places, np.asarray(found - found.clip(0, 1), np.float32))


def excess_beyond(samples: npt.NDArray[Any], exact: _Floats, tolerance: float) -> Excess | None:
    """What was clipped off integer samples (H, W, 3) that were made of `exact`, floats in the same units.

    Only pixels with a channel that lies beyond the integers' range by more than a tolerance have excess; all of their
    channels do, so that the rounding of the others is undone with it.
    """
    greatest = int(np.iinfo(samples.dtype).max)
    inside = cv2.inRange(exact, (-tolerance,) * 3, (greatest + tolerance,) * 3).ravel()
    if cv2.countNonZero(inside) == inside.size:
        return None
    places = np.flatnonzero(inside == 0)
    amount = exact.reshape(-1, 3).take(places, axis=0)
    amount -= samples.reshape(-1, 3).take(places, axis=0)
    amount *= np.float32(1 / greatest)
    return Excess(places, amount)
