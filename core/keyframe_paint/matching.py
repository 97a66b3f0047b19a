"""Matching of a picture to the plates of painted keys: where does it show what a key shows.

Pictures are compared at a small size, where noise and compression weigh less and a frame of any size costs the
same. Every result is per frame and per key: nothing depends on other frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.core.colour.hdr_residual import brightest
from impasto.core.frame import KeyMotion, Samples
from impasto.core.optical_flow import optical_flow, warped

SIDE = 640
"""Longer side of the pictures that are compared. The lengths below are in pixels of such a picture."""
SMOOTH = 1.5
"""Sigma of the blur of both pictures before they are compared: a fifth of the noise is left."""
NEAR, NEAR_FEATHER = 8, 4.0
"""A pixel matches where every pixel this near to it does; its weight fades over the feather. With a reach of 3, echoes
of the actor's outline in the key appear on the ground around it."""
AROUND, AROUND_FEATHER = 16, 6.0
"""The same for whole surroundings: beyond the reach of broad strokes."""
SAME, OTHER = 3.0, 20.0
"""Largest channel difference, in 1/255, up to which a pixel matches the key, and from which it does not."""
AROUND_SAME, AROUND_OTHER = 2.0, 8.0
"""The same for whole surroundings."""
TURNS_BACK = 1.0
"""Pixels by which motion there and back may miss its start; beyond that, the pixel is hidden in the key."""
LOST, LOST_FEATHER = 4, 2.0
"""Reach and feather around pixels that a renderer's vectors lose: in the key, the network saw across that edge. With a
reach of 8, as for pixels that merely differ, the motion benchmark loses 1.3 to 1.9 dB; with 2 it gains 0.3 to 0.4."""
SHARED = 0.25
"""Softens the choice between keys that match about equally well, which would flip with each frame's noise."""


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """How a picture matches the key of this index: weights (h, w) in [0, 1], and the motion into the key.

    `near` is the weight of the key's correction at a pixel, `around` that of the key's own paint, never more.
    `flow` is (h, w, 2) offsets from the picture into the key, in pixels of the small size, or None for no motion.
    """

    key: int
    near: Samples
    around: Samples
    flow: Samples | None = None


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key's plate ready to be compared: small, small and smooth, and where there is paint, (h, w) in [0, 1]."""

    small: Samples
    smooth: Samples
    painted: Samples


def compared_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is compared."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def scaled(picture: Samples, size: tuple[int, int]) -> Samples:
    """(H, W) or (H, W, C) resized to (height, width): by area if smaller, cubic if larger."""
    if picture.shape[:2] == size:
        return picture
    interpolation = cv2.INTER_AREA if size[0] < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=interpolation), np.float32)


def nearest(planes: Samples, size: tuple[int, int]) -> Samples:
    """(H, W, C) resized to (height, width, C) by nearest samples: identifiers among guide planes must not blend."""
    if planes.shape[:2] == size:
        return planes.reshape(*size, -1)
    resized = cv2.resize(planes, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.float32).reshape(*size, -1)


def view_key(plate: Samples, painted: Samples, size: tuple[int, int]) -> KeyView:
    """A key's plate (H, W, 3) and where it is painted (H, W), at this size."""
    small = scaled(plate, size)
    return KeyView(small, _smooth(small), scaled(painted, size))


def match_keys(
    picture: Samples, keys: list[KeyView], *, noise: float, follow: bool, motion: Sequence[KeyMotion | None] = ()
) -> list[KeyMatch]:
    """How a small picture (h, w, 3) matches each key, with the key in place and moved along with the plate.

    `motion` is the renderer's motion into each key. Where it is known, nothing else is tried: on flat surfaces a key in
    place would match where it does not belong. Without it, and with `follow`, keys move along optical flow.
    `noise` is the standard deviation of the plate's noise in 1/255. Keys that match a pixel about equally well share
    it: near weights sum to at most 1.
    """
    smooth = _smooth(picture)
    candidates = []
    for index, key in enumerate(keys):
        given = motion[index] if index < len(motion) else None
        if given is not None:
            given = sized_motion(given, (picture.shape[0], picture.shape[1]))
            candidates.append(_compared_along(smooth, index, key, noise, given))
            if given.silent.any():
                candidates.append(_only_where(given.silent, _compared(smooth, index, key, noise)))
            continue
        candidates.append(_compared(smooth, index, key, noise))
        if follow:
            candidates.append(_compared(smooth, index, key, noise, follow_key(picture, key)))
    likeness = [1 / np.square(mismatch + SHARED) for mismatch, _ in candidates]
    total = np.sum(likeness, axis=0)
    return [
        KeyMatch(match.key, match.near * part, match.around * part, match.flow)
        for (_, match), like in zip(candidates, likeness, strict=True)
        if (part := np.asarray(like / total, np.float32)) is not None
    ]


def sized_motion(motion: KeyMotion, size: tuple[int, int]) -> KeyMotion:
    """The motion at another height and width, for a plate that is resized before it is painted."""
    height, width = motion.lost.shape
    if (height, width) == size:
        return motion
    scale = np.array([size[1] / width, size[0] / height], np.float32)
    flow, lost, silent = (
        np.asarray(cv2.resize(each, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
        for each in (motion.flow, motion.lost, motion.silent)
    )
    return KeyMotion(flow * scale, lost, silent)


def follow_key(picture: Samples, key: KeyView) -> tuple[Samples, Samples]:
    """Optical flow from a small picture into a key (h, w, 2), and where it cannot be trusted (h, w), 1 for lost.

    A pixel is lost where the flow there and back misses its start by more than `TURNS_BACK`, or leaves the key.
    """
    there, back = optical_flow(picture, key.small), optical_flow(key.small, picture)
    missed = there + warped(back, there)
    height, width = picture.shape[:2]
    x = there[..., 0] + np.arange(width, dtype=np.float32)
    y = there[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    lost = np.square(missed[..., 0]) + np.square(missed[..., 1]) > TURNS_BACK**2
    lost |= (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    return there, lost.astype(np.float32)


def _compared(
    smooth: Samples, index: int, key: KeyView, noise: float, followed: tuple[Samples, Samples] | None = None
) -> tuple[Samples, KeyMatch]:
    """The mismatch near each pixel in 1/255, and the match with the weights that follow from it."""
    plate, painted, flow = key.smooth, key.painted, None
    if followed is not None:
        flow, lost = followed
        plate, painted = warped(plate, flow), warped(painted, flow) * (1 - lost)
    difference = 255 * brightest(np.abs(smooth - plate))
    if followed is not None:
        difference = np.where(lost > 0, np.float32(255), difference)
    near = _spread(difference, NEAR, NEAR_FEATHER)
    weight = _falling(near, SAME + noise, OTHER + noise) * painted
    around = _falling(_spread(difference, AROUND, AROUND_FEATHER), AROUND_SAME + noise, AROUND_OTHER + noise)
    return near, KeyMatch(index, weight, weight * around, flow)


def _compared_along(
    smooth: Samples, index: int, key: KeyView, noise: float, motion: KeyMotion
) -> tuple[Samples, KeyMatch]:
    """As `_compared`, along a renderer's motion, in which the edges of lost areas are exact."""
    found = KeyView(key.small, warped(key.smooth, motion.flow), warped(key.painted, motion.flow))
    # A lost pixel must not count as a mismatch, which would spread over surfaces whose motion is known.
    visible = np.where(motion.lost[..., None] > 0, found.smooth, smooth)
    lost = np.maximum(_spread(motion.lost, LOST, LOST_FEATHER), motion.lost)
    mismatch, match = _compared(visible, index, found, noise)
    kept = 1 - lost
    return mismatch + 255 * lost, KeyMatch(index, match.near * kept, match.around * kept, motion.flow)


def _only_where(places: Samples, candidate: tuple[Samples, KeyMatch]) -> tuple[Samples, KeyMatch]:
    """A candidate that counts only in some places, (h, w) in [0, 1]."""
    mismatch, match = candidate
    return mismatch + 255 * (1 - places), KeyMatch(match.key, match.near * places, match.around * places, match.flow)


def _spread(difference: Samples, reach: int, feather: float) -> Samples:
    """The largest difference within reach of each pixel, feathered."""
    largest = cv2.dilate(difference, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return np.asarray(cv2.GaussianBlur(largest, (0, 0), feather), np.float32)


def _smooth(picture: Samples) -> Samples:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), SMOOTH), np.float32)


def _falling(values: Samples, full: float, none: float) -> Samples:
    """1 up to `full`, 0 from `none` on, a straight line between."""
    return np.asarray(np.clip((none - values) / (none - full), 0, 1), np.float32)
