"""Of several motions from a picture into a key, at each pixel the one under which their plates look most alike.

A flow competes with smooth fits of itself and with the motions of whole planes, which are found in it and settled on
the plates. So flow that bleeds over an outline, or that finds nothing on a flat wall, gives way to that around it.
"""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.frame import Samples
from impasto.core.keyframe_paint.plates import (
    ALIKE,
    DARKEST,
    LIGHT,
    LIGHTEST,
    Plate,
    blurred,
    difference,
    fetched,
    inside,
)

FITS = (6.0, 16.0, 40.0)
"""Sigmas, in pixels, of the windows in which a flow is fitted by an affine motion."""
PREFERENCE = 0.1 / 255
"""Difference that a smoother motion may show for each doubling of its window."""
PLANES = 3
"""Motions of whole planes, as of a ground before a camera in the hand, that are looked for in a flow."""
PLANE = 0.5
"""Pixels by which a flow may differ from the motion of a plane that it belongs to."""
PLANE_PREFERENCE = 1.0 / 255
"""Difference that such a motion may show."""
SETTLINGS = 4
"""Steps in which such a motion is settled."""
AGREES = 3.0
"""Difference of luma, in 1/255, up to which a place tells of such a motion."""
TRUSTED = 0.65
"""Weight of a place in a flow from which it tells of a plane."""
SAMPLED = 8
"""Pixels between the places at which planes are looked for."""
LEAST_SHARE = 0.08
"""Share of these places that a plane holds at least."""
CONTEXT, AROUND = 0.5, 12.0
"""Weight of the difference around a pixel when its motion is chosen, and the sigma of its window."""


def likeliest(picture: Plate, key: Plate, flow: Samples, others: tuple[Samples, ...]) -> Samples:
    """At each pixel, of a flow, others and smooth fits of it, the motion under which the plates look most alike."""
    first = difference(picture, key, flow)
    agrees = np.exp(-np.square(blurred(first, ALIKE) * (255 / 12)))
    weight = np.asarray(picture.contrast / (picture.contrast + 0.01) * agrees + 1e-6, np.float32)
    least, best = _felt(first), flow
    candidates = [(each, 0.0) for each in others]
    candidates += [(settled(picture, key, each, flow), PLANE_PREFERENCE) for each in planes(flow, weight)]
    candidates += [(fitted(flow, weight, sigma), PREFERENCE * float(np.log2(1 + sigma))) for sigma in FITS]
    for candidate, preferred in candidates:
        off = _felt(difference(picture, key, candidate)) - np.float32(preferred)
        better = off < least
        least = np.where(better, off, least)
        best = np.where(better[..., None], candidate, best)
    return np.asarray(best, np.float32)


def _felt(off: Samples) -> Samples:
    """A difference, and some of that around: flat ground moves as what is on it."""
    return blurred(off, 2 * ALIKE) + CONTEXT * blurred(off, AROUND)


def planes(flow: Samples, weight: Samples) -> list[Samples]:
    """The motions of the planes that hold most of a flow, the largest first, as flows; found from a fixed seed."""
    height, width = flow.shape[:2]
    whole = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    places, moved, trusted = (
        each[SAMPLED // 2 :: SAMPLED, SAMPLED // 2 :: SAMPLED] for each in (whole, whole + flow, weight)
    )
    left = trusted > TRUSTED
    least, found = max(8, int(LEAST_SHARE * left.size)), list[Samples]()
    for _ in range(PLANES):
        if left.sum() < least:
            break
        matrix, held = cv2.findHomography(places[left], moved[left], cv2.RANSAC, PLANE, maxIters=300)
        if matrix is None or held.sum() < least:
            break
        there = cv2.perspectiveTransform(whole.reshape(1, -1, 2), matrix).reshape(whole.shape)
        found.append(np.asarray(there - whole, np.float32))
        left[left] = held.ravel() == 0
    return found


def settled(picture: Plate, key: Plate, plane: Samples, flow: Samples) -> Samples:
    """The motion of a plane, settled by Gauss-Newton until the plates agree best where a flow says that it lies.

    Where single places lead flow astray by a fraction of a pixel, all of them together do not.
    """
    height, width = picture.luma.shape
    x = np.broadcast_to((np.arange(width, dtype=np.float32) - width / 2) / width, (height, width))
    y = np.broadcast_to(((np.arange(height, dtype=np.float32) - height / 2) / width)[:, None], (height, width))
    one, none = np.ones_like(x), np.zeros_like(x)
    # How a plane may move: affine, and two terms of perspective.
    across = np.stack([one, x, y, none, none, none, x * x, x * y])
    down = np.stack([none, none, none, one, x, y, x * y, y * y])
    member = np.linalg.norm(plane - flow, axis=2) < 2 * PLANE
    ours, theirs = (blurred(each.luma.astype(np.float32), 1.0) for each in (picture, key))
    for _ in range(SETTLINGS):
        there = fetched(theirs, plane, cv2.INTER_LINEAR)
        light = np.clip((blurred(ours, LIGHT) + 5) / (blurred(there, LIGHT) + 5), DARKEST, LIGHTEST)
        there = np.asarray(light * there, np.float32)
        off = ours - there
        weight = (member & (blurred(np.abs(off), 2.0) < AGREES) & inside(plane)) / (1 + np.square(off / AGREES))
        slopes = [cv2.Sobel(there, cv2.CV_32F, way, 1 - way, scale=1 / 8)[::2, ::2] for way in (1, 0)]
        told = weight[::2, ::2] > 0.01
        change = (slopes[0] * across[:, ::2, ::2] + slopes[1] * down[:, ::2, ::2])[:, told]
        weighted = change * weight[::2, ::2][told]
        matrix = (weighted @ change.T).astype(np.float64)
        matrix += 1e-6 * (np.trace(matrix) + 1) * np.eye(8)
        terms = np.linalg.solve(matrix, (weighted @ off[::2, ::2][told]).astype(np.float64))
        step = np.stack([np.tensordot(terms, each, 1) for each in (across, down)], axis=2)
        plane = np.asarray(plane + step, np.float32)
    return plane


def fitted(flow: Samples, weight: Samples, sigma: float) -> Samples:
    """The affine motion that fits a flow best around each pixel, by weights (h, w), in windows of a sigma."""
    height, width = flow.shape[:2]
    fewer = max(1, int(sigma / 3))
    size = max(1, width // fewer), max(1, height // fewer)
    x = (np.arange(width, dtype=np.float32) - width / 2) / 100 + np.zeros((height, 1), np.float32)
    y = ((np.arange(height, dtype=np.float32) - height / 2) / 100)[:, None] + np.zeros(width, np.float32)

    def around(plane: Samples) -> Samples:
        small = plane if fewer == 1 else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        return blurred(np.asarray(small, np.float32), sigma / fewer)

    def whole(plane: Samples) -> Samples:
        return plane if fewer == 1 else np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))

    total = around(weight) + 1e-9
    middle_x, middle_y = around(weight * x) / total, around(weight * y) / total
    soft = 1e-4 * (sigma / 10) ** 2
    xx = around(weight * x * x) / total - middle_x**2 + soft
    yy = around(weight * y * y) / total - middle_y**2 + soft
    xy = around(weight * x * y) / total - middle_x * middle_y
    found = []
    for part in (flow[..., 0], flow[..., 1]):
        mean = around(weight * part) / total
        by_x = around(weight * part * x) / total - mean * middle_x
        by_y = around(weight * part * y) / total - mean * middle_y
        across, down = (by_x * yy - by_y * xy), (by_y * xx - by_x * xy)
        area = xx * yy - xy * xy
        across, down = across / area, down / area
        found.append(whole(mean - across * middle_x - down * middle_y) + whole(across) * x + whole(down) * y)
    return np.stack(found, axis=2).astype(np.float32)
