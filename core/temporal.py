"""Motion between frames, and how far a result follows it instead of flickering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import LUMA
from impasto.core.errors import UsageError
from impasto.core.frame import Samples

AGREE = 6 / 255
"""Pixels whose luma differs by more than this after warping are taken as occluded or badly tracked."""


def optical_flow(frame: Samples, other: Samples) -> Samples:
    """Where each pixel of `frame` lies in `other`: (H, W, 2) float32 offsets x, y in pixels.

    Both (H, W, 3) float32, working space. Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590)
    on 8-bit luma, which is what that method is made for.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(_luma8(frame), _luma8(other), None), np.float32)  # type: ignore[call-overload]


def warped(picture: Samples, flow: Samples) -> Samples:
    """`picture` fetched along a flow: the sample of each pixel at its place plus the flow, bilinear, edges repeated."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def visible_in_both(frame: Samples, other: Samples, flow: Samples) -> npt.NDArray[np.bool_]:
    """Where `other`, fetched along the flow, agrees with `frame` to `AGREE` in luma: (H, W)."""
    return np.asarray(np.abs((warped(other, flow) - frame) @ LUMA) < AGREE)


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
        error for (old, new), (before, after) in pairs if not math.isnan(error := Motion(old, new).error(before, after))
    ]
    return 255 * float(np.mean(errors)) if errors else 0.0


class Motion:
    """The plate's motion from one frame to the next, found once and held against any number of results."""

    def __init__(self, earlier: Samples, later: Samples) -> None:
        """Both (H, W, 3) float32, working space."""
        self.flow = optical_flow(later, earlier)
        self.seen = visible_in_both(later, earlier, self.flow)

    def error(self, earlier: Samples, later: Samples) -> float:
        """Mean absolute change of a result along this motion, where the plate agrees with itself; NaN for nowhere."""
        if not self.seen.any():
            return math.nan
        return float(np.abs(warped(earlier, self.flow) - later)[self.seen].mean())


def _luma8(picture: Samples) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = np.rint(np.clip(picture @ LUMA, 0, 1) * 255).astype(np.uint8)
    return codes
