"""Shapes as a brush lays them: flat colour drawn out along the forms, with crisp rims.

Averaging along the form and sharpening across it, in turn, gives long clean shapes (after Kyprianidis & Kang 2011,
"Image and Video Abstraction by Coherence-Enhancing Filtering"). All of it is local and repeatable.
"""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.training.teachers.flat_colour import flattened, smooth
from impasto.training.teachers.palette import LUMA
from impasto.training.teachers.strokes import smear, stroke_direction

ACROSS = 2.0
"""Pixels to either side of a point over which `crisp` looks whether it is in a valley or on a ridge."""
DECIDED = 120.0
"""How soon `crisp` takes all of the neighbour's colour: at 1 / 120 of luma between point and neighbours, most of it."""


def brushed(plate: Samples, radius: float, *, turn: float, length: float, passes: int) -> Samples:
    """The plate in flat shapes about `radius` pixels wide, drawn out along the forms; (H, W, 3) float32.

    Each of the `passes` averages `length` pixels to either side, in directions averaged over `turn` pixels.
    """
    picture = flattened(plate, radius)
    for _ in range(passes):
        along_x, along_y = stroke_direction(picture @ LUMA, turn)
        picture = crisp(smear(picture, along_x, along_y, length), along_x, along_y)
    return picture


def crisp(picture: Samples, along_x: Samples, along_y: Samples) -> Samples:
    """The picture (H, W, 3) with sharper rims across the directions given: one step of a shock filter.

    On the dark side of an edge it takes the darker neighbour, one pixel across the form, and on the bright side the
    brighter one (Osher & Rudin 1990). No value comes in that was not there.
    """
    rows, columns = picture.shape[:2]
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))

    def across(field: Samples, distance: float) -> Samples:
        at_x, at_y = x - along_y * distance, y + along_x * distance
        found = cv2.remap(field, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(found, np.float32)

    calm = np.asarray(cv2.GaussianBlur(picture @ LUMA, (0, 0), 1.5), np.float32)
    valley = np.tanh(DECIDED * (across(calm, ACROSS) + across(calm, -ACROSS) - 2 * calm))[..., None]
    candidates = np.stack([picture, across(picture, 1), across(picture, -1)])
    luma = candidates @ LUMA
    darkest, brightest = (
        np.take_along_axis(candidates, order(luma, axis=0)[None, ..., None], axis=0)[0]
        for order in (np.argmin, np.argmax)
    )
    return np.asarray(picture + np.abs(valley) * (np.where(valley > 0, darkest, brightest) - picture), np.float32)


def restated(plate: Samples, broad: Samples, fine: Samples, *, faintest: float, full: float) -> Samples:
    """The broad picture, and the fine one where the broad one misses its plate: on faces, letters, thin things.

    Pictures (H, W, 3). `faintest` and `full` are the differences from the plate at which the fine one begins to show,
    and at which nothing else is left.
    """
    missed = cv2.GaussianBlur(np.abs(plate - broad).max(2), (0, 0), 2)
    part = smooth(np.asarray(np.clip((missed - faintest) / (full - faintest), 0, 1), np.float32))[..., None]
    return np.asarray(broad + part * (fine - broad), np.float32)
