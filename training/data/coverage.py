"""How well the keys of a shot cover the content of its other frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from impasto.core.frame import Samples
from impasto.training.data.registration import agreement, outlines

THUMB_SIDE = 160
PATCH = 8
"""Side of the patches that are compared, in pixels of a thumbnail: an eye or a hand in a medium shot."""
MORE_ALIKE = 0.1
"""A key is taken for one of another frame if its outlines agree better with that frame by more than this."""


def thumbnail(picture: Samples) -> Samples:
    """A picture (H, W, 3) scaled down by area to a longer side of `THUMB_SIDE`."""
    scale = min(1.0, THUMB_SIDE / max(picture.shape[:2]))
    size = max(PATCH, round(picture.shape[1] * scale)), max(PATCH, round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def least_covered(thumbs: Mapping[int, Samples], keys: Sequence[int]) -> int | None:
    """Number of the frame with most content that no key shows; None if all frames are keys.

    A patch counts as covered as well as the most similar patch of any key covers it, wherever that is, because a
    network learns from all of them. Only the half of a frame that is covered worst counts, because a static background
    would otherwise hide an actor.
    """
    others = [number for number in sorted(thumbs) if number not in keys]
    if not others:
        return None
    known = np.concatenate([patches(thumbs[number], 2) for number in keys])
    return max(others, key=lambda number: novelty(patches(thumbs[number], PATCH // 2), known))


def novelty(patches_of_frame: Samples, known: Samples) -> float:
    """Mean distance to the nearest known patch, over the half of the patches with the largest distances."""
    squares = (known * known).sum(1)
    nearest = (squares - 2 * patches_of_frame @ known.T).min(1) + (patches_of_frame * patches_of_frame).sum(1)
    distances = np.sqrt(np.maximum(nearest, 0))
    return float(np.sort(distances)[len(distances) // 2 :].mean())


def patches(picture: Samples, stride: int) -> Samples:
    """Square patches of (H, W, 3) as rows."""
    windows = sliding_window_view(picture, (PATCH, PATCH), axis=(0, 1))[::stride, ::stride]
    return np.ascontiguousarray(windows.reshape(-1, 3 * PATCH * PATCH))


def nearest_frame(painted: Samples, thumbs: Mapping[int, Samples], number: int) -> int | None:
    """Number of the frame whose outlines agree clearly better with a key than those of its own frame, else None.

    Frames of another size than the key, whose data window moved, are passed over.
    """
    outline = outlines(painted)
    alike = {other: thumb for other, thumb in thumbs.items() if thumb.shape == painted.shape}
    agreements = {other: agreement(outlines(thumb), outline) for other, thumb in alike.items()}
    best = max(agreements, key=lambda other: agreements[other])
    return best if agreements[best] > agreements[number] + MORE_ALIKE else None
