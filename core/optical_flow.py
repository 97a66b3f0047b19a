"""Optical flow between two pictures, and pictures moved along a flow."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import LUMA
from impasto.core.frame import Samples

AGREE = 6 / 255
"""A pixel whose luma differs by more than this after warping counts as occluded or badly tracked."""


def optical_flow(frame: Samples, other: Samples) -> Samples:
    """Where each pixel of `frame` lies in `other`: (H, W, 2) float32 offsets x, y in pixels.

    Both are (H, W, 3) float32 in working space. The method is dense inverse search (Kroeger et al. 2016,
    arXiv:1603.03590) on 8-bit luma, for which it is made.
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


def _luma8(picture: Samples) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = np.rint(np.clip(picture @ LUMA, 0, 1) * 255).astype(np.uint8)
    return codes
