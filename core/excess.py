"""Levels above white and below black, beside integer samples that cannot hold them.

Codes of a limited-range movie reach beyond its white and black, and its colours beyond those of its primaries. A frame
of integers holds such a pixel clipped, and what was clipped off as excess, which goes around the network like the light
of an HDR plate. Few pixels of a picture have any.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from impasto.core.frame import Excess, Pixels, Samples


def with_excess(colour: Samples, excess: Excess | None) -> Samples:
    """Samples (H, W, 3) in units of their white with what was clipped off them, unclamped; a new array where needed."""
    if excess is None:
        return colour
    whole = np.array(colour, np.float32, order="C")
    whole.reshape(-1, 3)[excess.places] += excess.amount
    return whole


def excess_of(colour: Samples, *, tolerance: float = 0.5 / 255) -> Excess | None:
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


def excess_beyond(samples: Pixels, exact: Samples, tolerance: float) -> Excess | None:
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


def excess_of_rows(excess: Excess | None, rows: slice, width: int) -> Excess | None:
    """The excess of some rows of a picture of this width, its places counted from the first of them; None for none."""
    if excess is None:
        return None
    first, last = np.searchsorted(excess.places, (rows.start * width, rows.stop * width))
    if first == last:
        return None
    return Excess(excess.places[first:last] - rows.start * width, excess.amount[first:last])


def joined(parts: Sequence[Excess]) -> Excess | None:
    """The excess of the pieces of a picture, in their order, as one; None for none."""
    if not parts:
        return None
    return Excess(np.concatenate([each.places for each in parts]), np.concatenate([each.amount for each in parts]))
