"""Where the surfaces of a picture lie in a key: optical flow made robust, and how far it can be trusted.

Flow starts coarse or from a motion that is known, is refined down to the pixel, and competes with smooth fits of
itself: at each pixel the motion wins under which the two plates look most alike. So flow that bleeds over an outline,
or that finds nothing on a flat wall, gives way to that of its surroundings. Light may differ between the plates, slowly
from place to place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import LUMA
from impasto.core.colour.hdr_residual import brightest
from impasto.core.frame import Samples

KeysQuality = Literal["draft", "standard", "best"]
"""How much is spent on the paint of keys: see `impasto.core.keyframe_paint.carrying`."""

SMOOTHNESS = 60.0
"""Weight of a smooth flow in its last refinement; OpenCV's own is 20, and leaves flat paint to wander."""
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
LIGHT = 14.0
"""Sigma of the windows in which light may differ between two plates."""
DARKEST, LIGHTEST = 0.7, 1.4
"""How far light may differ, as factors."""
ALIKE = 1.5
"""Sigma of the blur of a difference before it is judged."""
CONTEXT, AROUND = 0.5, 12.0
"""Weight of the difference around a pixel when its motion is chosen, and the sigma of its window."""
TOLERATED = 5 / 255
"""Difference that is nothing, on flat ground without noise."""
MISSED = 0.5
"""Pixels by which a motion may miss: where a plate has contrast, so much more difference is tolerated."""
SMEARED, STRETCHED = 0.35, 0.7
"""Change of motion from pixel to pixel up to which a surface only bends, and from which its paint would be smeared."""
APART = 3.0
"""Pixels by which two places must lie apart for one to hide the other in the key."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A small plate ready to be followed: (h, w, 3) and its luma in 8 bits."""

    picture: Samples
    luma: npt.NDArray[np.uint8]
    contrast: Samples
    """Slope of the luma around each pixel, (h, w)."""


@dataclass(frozen=True, slots=True)
class Correspondence:
    """The motion from a picture into a key, (h, w, 2) in pixels, and how far to trust it, (h, w) in [0, 1]."""

    flow: Samples
    confidence: Samples


def plate_of(picture: Samples) -> Plate:
    """A small picture (h, w, 3), working space, ready to be followed."""
    luma = np.asarray(picture @ LUMA, np.float32)
    slope = cv2.magnitude(cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8))
    return Plate(picture, np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8), _blurred(slope, 2.0))


def follow(
    picture: Plate, key: Plate, quality: KeysQuality, noise: float = 0.0, start: Samples | None = None
) -> Correspondence:
    """Where a picture's surfaces lie in a key of the same size.

    `noise` is the standard deviation of the plates' noise in 1/255, `start` a motion to begin with. A draft is not
    refined down to the pixel and has no smooth fits.
    """
    flow = _search(quality).calc(picture.luma, key.luma, None if start is None else start.copy())  # type: ignore[call-overload]
    flow = np.asarray(flow, np.float32)
    if quality != "draft":
        flow = _likeliest(picture, key, flow, () if start is None else (start,))
    return judged(picture, key, flow, noise)


def judged(picture: Plate, key: Plate, flow: Samples, noise: float = 0.0) -> Correspondence:
    """A motion, trusted where the plates look alike along it, nothing is smeared or hidden, and it stays in the key."""
    off = difference(picture, key, flow)
    tolerated = TOLERATED + noise / 255 + MISSED * picture.contrast
    alike = np.clip((3 * tolerated - _blurred(off, ALIKE)) / (2 * tolerated), 0, 1)
    bent = np.clip((STRETCHED - smear(flow)) / (STRETCHED - SMEARED), 0, 1)
    confidence = alike * bent * inside(flow) * ~hidden(flow, off)
    return Correspondence(flow, np.asarray(confidence, np.float32))


def difference(picture: Plate, key: Plate, flow: Samples) -> Samples:
    """How far a picture differs from a key's plate along a motion, in any channel, apart from its light: (h, w)."""
    there = fetched(key.picture, flow, cv2.INTER_LINEAR)
    ours, theirs = (_blurred(each @ LUMA, LIGHT) for each in (picture.picture, there))
    light = np.clip((ours + 0.02) / (theirs + 0.02), DARKEST, LIGHTEST)
    return np.asarray(brightest(np.abs(picture.picture - light[..., None] * there)), np.float32)


def fetched(picture: Samples, flow: Samples, interpolation: int = cv2.INTER_CUBIC) -> Samples:
    """A picture fetched along a motion; edges are repeated. Cubic, so that strokes stay crisp: it may overshoot."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE), np.float32)


def smear(flow: Samples) -> Samples:
    """How much a motion changes from pixel to pixel, on the calmer side of each, (h, w).

    At the edge between two surfaces one side is calm; a smear changes on both.
    """
    height, width = flow.shape[:2]
    total = np.zeros((height, width), np.float32)
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(flow, axis=axis), axis=2).astype(np.float32)
        steps = np.asarray(cv2.blur(steps, (3, 3)), np.float32)
        before = np.concatenate((np.take(steps, [0], axis), steps), axis)
        after = np.concatenate((steps, np.take(steps, [-1], axis)), axis)
        np.maximum(total, np.minimum(before, after), out=total)
    return total


def inside(flow: Samples) -> npt.NDArray[np.bool_]:
    """Where a motion ends within the key."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray((x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5))


def hidden(flow: Samples, off: Samples) -> npt.NDArray[np.bool_]:
    """Where another part of the picture lies in the same place of the key, and looks more like it: (h, w)."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[:height:2, :width:2]
    y = np.clip(np.rint((rows + flow[::2, ::2, 1]) / 2), 0, rows.shape[0] - 1).astype(np.intp)
    x = np.clip(np.rint((columns + flow[::2, ::2, 0]) / 2), 0, rows.shape[1] - 1).astype(np.intp)
    place = (y * rows.shape[1] + x).ravel()
    errors = _blurred(off, ALIKE)[::2, ::2].ravel()
    order = np.argsort(-errors, kind="stable")
    best = np.full(place.size, -1, np.intp)
    best[place[order]] = order  # of those that meet, the last stays: the one most alike
    winner = best[place]
    away = np.hypot(rows.ravel()[winner] - rows.ravel(), columns.ravel()[winner] - columns.ravel())
    loses = ((away > APART) & (errors > errors[winner] + TOLERATED / 2)).reshape(rows.shape)
    share = cv2.blur(loses.astype(np.float32), (3, 3))
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _likeliest(picture: Plate, key: Plate, flow: Samples, others: tuple[Samples, ...]) -> Samples:
    """At each pixel, of a flow, others and smooth fits of it, the motion under which the plates look most alike."""
    first = difference(picture, key, flow)
    weight = picture.contrast / (picture.contrast + 0.01) * np.exp(-np.square(_blurred(first, ALIKE) * (255 / 12))) + 1e-6
    least, best = _felt(first), flow
    candidates = [(each, 0.0) for each in others]
    candidates += [(settled(picture, key, each, flow), PLANE_PREFERENCE) for each in planes(flow, weight)]
    candidates += [(fitted(flow, weight, sigma), PREFERENCE * float(np.log2(1 + sigma))) for sigma in FITS]
    for candidate, preferred in candidates:
        off = _felt(difference(picture, key, candidate)) - np.float32(preferred)
        better = off < least
        least, best = np.where(better, off, least), np.where(better[..., None], candidate, best)
    return np.asarray(best, np.float32)


def _felt(off: Samples) -> Samples:
    """A difference, and some of that around: flat ground moves as what is on it."""
    return _blurred(off, 2 * ALIKE) + CONTEXT * _blurred(off, AROUND)


def planes(flow: Samples, weight: Samples) -> list[Samples]:
    """The motions of the planes that hold most of a flow, the largest first, as flows; found from a fixed seed."""
    height, width = flow.shape[:2]
    whole = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    places, moved, trusted = (
        each[SAMPLED // 2 :: SAMPLED, SAMPLED // 2 :: SAMPLED] for each in (whole, whole + flow, weight)
    )
    left = trusted > TRUSTED
    least, found = max(8, int(LEAST_SHARE * left.size)), []
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
    """The motion of a plane, settled until the plates agree best where a flow says that it lies; Gauss and Newton's way.

    Where single places lead flow astray by a fraction of a pixel, all of them together do not.
    """
    height, width = picture.luma.shape
    x = ((np.arange(0, width, 2, dtype=np.float32) - width / 2) / width)[None] + np.zeros((len(range(0, height, 2)), 1))
    y = ((np.arange(0, height, 2, dtype=np.float32) - height / 2) / width)[:, None] + np.zeros(x.shape[1])
    one, none = np.ones_like(x), np.zeros_like(x)
    # A plane that moves: affine motion and two terms of perspective.
    across = np.stack([one, x, y, none, none, none, x * x, x * y])
    down = np.stack([none, none, none, one, x, y, x * y, y * y])
    member = (np.linalg.norm(plane - flow, axis=2) < 2 * PLANE)[::2, ::2]
    ours = _blurred(picture.luma, 1.0)
    theirs = _blurred(key.luma, 1.0)
    whole_x = ((np.arange(width, dtype=np.float32) - width / 2) / width)[None]
    whole_y = ((np.arange(height, dtype=np.float32) - height / 2) / width)[:, None]
    for _ in range(SETTLINGS):
        there = fetched(theirs, plane, cv2.INTER_LINEAR)
        light = np.clip((_blurred(ours, LIGHT) + 5) / (_blurred(there, LIGHT) + 5), DARKEST, LIGHTEST)
        there = light * there
        off = (ours - there)[::2, ::2]
        slope_x = cv2.Sobel(there, cv2.CV_32F, 1, 0, scale=1 / 8)[::2, ::2]
        slope_y = cv2.Sobel(there, cv2.CV_32F, 0, 1, scale=1 / 8)[::2, ::2]
        agrees = _blurred(np.abs(off), 2.0) < AGREES
        weight = (member & agrees & inside(plane)[::2, ::2]) / (1 + np.square(off / AGREES))
        change = (slope_x * across + slope_y * down)[:, weight > 0.01]
        weighted = change * weight[weight > 0.01]
        matrix = (weighted @ change.T).astype(np.float64)
        matrix += 1e-6 * np.trace(matrix) * np.eye(8)
        p = np.linalg.solve(matrix, (weighted @ off[weight > 0.01]).astype(np.float64)).astype(np.float32)
        step = np.empty_like(plane)
        step[..., 0] = p[0] + p[1] * whole_x + p[2] * whole_y + (p[6] * whole_x + p[7] * whole_y) * whole_x
        step[..., 1] = p[3] + p[4] * whole_x + p[5] * whole_y + (p[6] * whole_x + p[7] * whole_y) * whole_y
        plane = plane + step
    return np.asarray(plane, np.float32)


def fitted(flow: Samples, weight: Samples, sigma: float) -> Samples:
    """The affine motion that fits a flow best around each pixel, by weights (h, w), in windows of a sigma."""
    height, width = flow.shape[:2]
    fewer = max(1, int(sigma / 3))
    size = max(1, width // fewer), max(1, height // fewer)
    x = (np.arange(width, dtype=np.float32) - width / 2) / 100 + np.zeros((height, 1), np.float32)
    y = ((np.arange(height, dtype=np.float32) - height / 2) / 100)[:, None] + np.zeros(width, np.float32)

    def around(plane: Samples) -> Samples:
        small = plane if fewer == 1 else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        return _blurred(np.asarray(small, np.float32), sigma / fewer)

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


def _search(quality: KeysQuality) -> cv2.DISOpticalFlow:
    """Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590), for all but a draft down to the pixel."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setVariationalRefinementAlpha(SMOOTHNESS)
    if quality != "draft":
        search.setFinestScale(0)
        search.setVariationalRefinementIterations(10)
    return search


def _blurred(plane: Samples, sigma: float) -> Samples:
    """Blurred by a Gaussian; a wide one at a smaller size, where it is the same to a thousandth."""
    plane = np.asarray(plane, np.float32)
    fewer = int(sigma / 3)
    if fewer < 2:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    height, width = plane.shape[:2]
    size = max(1, width // fewer), max(1, height // fewer)
    small = cv2.GaussianBlur(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / fewer)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
