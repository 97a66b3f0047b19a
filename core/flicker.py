"""Flicker: how far a result changes along the plate's own motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from impasto.core.errors import UsageError
from impasto.core.frame import Samples
from impasto.core.optical_flow import optical_flow, visible_in_both, warped


def warp_error(plates: Sequence[Samples], results: Sequence[Samples]) -> float:
    """Mean absolute change of a result along the plate's own motion, in units of 1/255.

    Both are runs of consecutive frames (H, W, 3) float32, working space. Each result is compared with the one
    before it, moved by the plate's flow, where the plate itself agrees. The plates' own error
    (`warp_error(plates, plates)`) is the floor; blur lowers the figure too, so read it beside sharpness.
    """
    if len(plates) != len(results) or len(plates) < 2:
        raise UsageError(f"expected two or more plates and as many results, got {len(plates)} and {len(results)}")
    pairs = zip(pairwise(plates), pairwise(results), strict=True)
    errors = [
        error
        for (old, new), (before, after) in pairs
        if not math.isnan(error := PlateMotion(old, new).error(before, after))
    ]
    return 255 * float(np.mean(errors)) if errors else 0.0


class PlateMotion:
    """The plate's motion from one frame to the next, computed once and compared with any number of results."""

    def __init__(self, earlier: Samples, later: Samples) -> None:
        """Both (H, W, 3) float32, working space."""
        self.flow = optical_flow(later, earlier)
        self.visible = visible_in_both(later, earlier, self.flow)

    def error(self, earlier: Samples, later: Samples) -> float:
        """Mean absolute change of a result along this motion, where the plate agrees with itself; NaN for nowhere."""
        if not self.visible.any():
            return math.nan
        return float(np.abs(warped(earlier, self.flow) - later)[self.visible].mean())
