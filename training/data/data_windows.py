"""Two frames over each other: data windows, masks, and the target of a network for a painted frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core import colour
from impasto.core.errors import TrainingError
from impasto.core.frame import Frame, Pixels, Samples, Window
from impasto.core.working_picture import WorkingPicture

PAINTED = 0.25
"""A pixel counts as painted from this value of mask or alpha: object masks of many colours, their edges included."""
INVALID_REACH = 3
"""Pixels around NaN or infinity that are not learned from: the fill reaches into them."""

Mask = npt.NDArray[np.bool_]


def relative_window(frame: Frame) -> Window:
    """The data window as seen from the corner of the display window."""
    data, display = frame.part.data_window, frame.part.display_window
    return Window(data.x - display.x, data.y - display.y, data.width, data.height)


def to_window_of(plate: Frame, frame: Frame, samples: Pixels) -> Pixels:
    """Samples of a frame's data window, (H, W) or (H, W, C), in the data window of a plate; zeros where it has none.

    The display windows of both lie upon each other.
    """
    target, source = relative_window(plate), relative_window(frame)
    if target == source:
        return samples
    result = np.zeros((target.height, target.width, *samples.shape[2:]), samples.dtype)
    left, top = max(source.x, target.x), max(source.y, target.y)
    right = min(source.x + source.width, target.x + target.width)
    bottom = min(source.y + source.height, target.y + target.height)
    if left < right and top < bottom:
        result[top - target.y : bottom - target.y, left - target.x : right - target.x] = samples[
            top - source.y : bottom - source.y, left - source.x : right - source.x
        ]
    return result


def mask_of(frame: Frame, name: str, plate: Frame) -> Mask:
    """Where a mask is not black, (H, W), in the plate's data window; object masks of many colours are one mask.

    TrainingError for a mask of another size than the plate.
    """
    window, own = plate.part.display_window, frame.part.display_window
    if (own.width, own.height) != (window.width, window.height):
        raise TrainingError(
            f"expected masks of the plate's size {window.width}x{window.height}, got {own.width}x{own.height} "
            f"in '{name}'; render or scale the mask to the plate"
        )
    return to_window_of(plate, frame, colour.to_float(frame.colour).max(axis=2) >= PAINTED)


def near_invalid(picture: WorkingPicture) -> Mask | None:
    """Where NaN or infinity is at most `INVALID_REACH` pixels away, (H, W); None where there is none."""
    if picture.invalid is None:
        return None
    side = 2 * INVALID_REACH + 1
    return cv2.dilate(picture.invalid.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def target_for(plate: WorkingPicture, paint: WorkingPicture) -> Samples:
    """The target (H, W, 3) with which the render equals a paint in float.

    The render puts back what the working picture of the plate does not hold. So the target is the paint without that,
    clipped to [0, 1]. Where the two windows differ, or there is nothing to put back, it is the working picture of the
    paint.
    """
    if plate.is_plate or paint.is_plate or plate.picture.shape != paint.picture.shape:
        return paint.picture
    light, _ = colour.fill_invalid(paint.light())
    residual = colour.residual_of(plate.shown_light()[0])
    if residual.floor is not None:
        light = light - residual.floor
    if residual.gain is not None:
        light = light / residual.gain[..., None]
    return colour.encode(np.clip(light, 0, 1))
