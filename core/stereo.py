"""Two eyes that see one painting: the paint of a surface is carried from the first eye to the second.

Painted by itself each eye has strokes of its own, and a viewer's eyes fight over them. The second eye gets the paint
of the first wherever both see the same surface, by the disparity between them, and its own elsewhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from impasto.core.errors import UsageError
from impasto.core.frame import Frame, Samples, find_channel
from impasto.core.immersive import PictureLayout
from impasto.core.keyframe_paint.correspondence import follow, judged
from impasto.core.keyframe_paint.plates import LIGHT, blurred, fetched, plate_of
from impasto.core.painted_picture import PaintedPicture

SURE = 0.8
"""Trust in a disparity from which the carried paint is taken whole."""
LEAST_SHARED = 0.4
"""Of what has texture: the two eyes of our own and of public pictures share 69 % and more, halves of a picture for one
eye up to 25 %."""
_TEXTURE = 0.02
_TRIED = 512
"""Side in pixels at which it is found out whether two pictures are two eyes."""
_LEAST_SIDE = 16
"""Below it nothing can be followed."""


def shared_paint(first: PaintedPicture, second: PaintedPicture, disparity: Samples | None = None) -> Samples:
    """The paint of the second eye: that of the first where both see the same surface, its own elsewhere.

    `disparity` (H, W, 2) float32 says how far right and down each pixel of the second eye is in the first, in pixels;
    None: it is estimated. Light that differs slowly between the eyes stays each eye's own. Paint that changes nothing
    leaves the second eye exactly as it is.
    """
    unchanged = np.array_equal(first.painted, first.picture)
    if unchanged or min(second.picture.shape[:2]) < _LEAST_SIDE:
        return second.painted
    ours, theirs = plate_of(second.picture), plate_of(first.picture)
    found = follow(ours, theirs, "standard") if disparity is None else judged(ours, theirs, disparity)
    share = np.minimum(found.confidence / np.float32(SURE), 1)[..., None]
    lighter = share * (second.picture - fetched(first.picture, found.flow))
    light = blurred(lighter, LIGHT) / (blurred(share[..., 0], LIGHT)[..., None] + np.float32(1e-3))
    carried = fetched(first.painted, found.flow) + light
    return np.asarray(second.painted + share * (carried - second.painted), np.float32)


def shared_between_halves(layout: PictureLayout, picture: Samples, painted: Samples) -> Samples:
    """A painted frame of two eyes, beside or above each other, whose right eye shares the paint of the left."""
    pictures, paintings = layout.eyes(picture), layout.eyes(painted)
    around = pictures[0].shape[1] // 8 if layout.is_sphere else 0
    edges = (0, 0), (around, around), (0, 0)
    first, second = (
        PaintedPicture(np.pad(pictures[eye], edges, mode="wrap"), np.pad(paintings[eye], edges, mode="wrap"))
        for eye in (0, 1)
    )
    shared = shared_paint(first, second)
    return layout.joined((paintings[0], shared[:, around : around + pictures[0].shape[1]]))


def shared_between_views(frame: Frame, other: Frame, first: PaintedPicture, second: PaintedPicture) -> Samples:
    """The paint of the second eye where each is a view of its own, `frame` and `other`, with windows of their own.

    The disparity is the file's where it has layers of it, and estimated elsewhere.
    """
    one, two = frame.part.data_window, other.part.data_window
    left, top = min(one.x, two.x), min(one.y, two.y)
    right = max(one.x + one.width, two.x + two.width)
    bottom = max(one.y + one.height, two.y + two.height)

    def placed(eye: PaintedPicture, x: int, y: int) -> PaintedPicture:
        height, width = eye.picture.shape[:2]
        edges = ((y - top, bottom - y - height), (x - left, right - x - width), (0, 0))
        return PaintedPicture(np.pad(eye.picture, edges, mode="edge"), np.pad(eye.painted, edges, mode="edge"))

    eyes = placed(first, one.x, one.y), placed(second, two.x, two.y)
    disparity = stated_disparity(frame, (left, top, right, bottom), eyes[0].picture, eyes[1].picture)
    shared = shared_paint(*eyes, disparity)
    return shared[two.y - top : two.y - top + two.height, two.x - left : two.x - left + two.width]


def stated_disparity(frame: Frame, box: tuple[int, int, int, int], first: Samples, second: Samples) -> Samples | None:
    """How far right and down the second eye's pixels are in the first, by a file's layers disparityL and disparityR.

    These are Nuke's names; x and y are pixels, y upwards. Programs differ in the sign and in the eye that a layer
    belongs to: what brings the pictures together best is taken. `box` is left, top, right and bottom of the wanted
    pixels, of which `first` and `second` are the pictures. None where the file has no such layer.
    """
    layers = [_layer(frame, name, box) for name in ("disparityL", "disparityR")]
    tried = [sign * layer for layer in layers if layer is not None for sign in (np.float32(1), np.float32(-1))]
    return min(tried, key=lambda each: float(np.abs(fetched(first, each) - second).mean()), default=None)


def _layer(frame: Frame, prefix: str, box: tuple[int, int, int, int]) -> Samples | None:
    """The channels x and y of a layer over a box, y downwards; edges repeated."""
    found = [find_channel(frame.parts, f"{prefix}.{axis}") for axis in "xy"]
    if found[0] is None or found[1] is None or found[0][0] is not found[1][0]:
        return None
    part = found[0][0]
    stored = np.nan_to_num(part.pixels[..., [found[0][1], found[1][1]]].astype(np.float32), posinf=0, neginf=0)
    window, (left, top, right, bottom) = part.data_window, box
    across = np.clip(np.arange(left, right) - window.x, 0, window.width - 1)
    down = np.clip(np.arange(top, bottom) - window.y, 0, window.height - 1)
    return np.asarray(stored[down][:, across] * np.array((1, -1), np.float32))


def require_two_eyes(layout: PictureLayout, picture: Samples) -> None:
    """Raise UsageError unless the halves of a frame are two pictures of the same surfaces, or show next to nothing."""
    left, right = layout.eyes(picture)
    scale = min(1.0, _TRIED / max(left.shape[:2]))
    size = max(1, round(left.shape[1] * scale)), max(1, round(left.shape[0] * scale))
    if min(size) < _LEAST_SIDE:
        return
    first, second = (
        plate_of(np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.float32)) for each in (left, right)
    )
    textured = second.contrast > _TEXTURE
    if textured.mean() < 0.01:
        return
    shared = float(follow(second, first, "standard").confidence[textured].mean())
    if shared < LEAST_SHARED:
        where = "side by side" if layout.stereo == "sbs" else "one above the other"
        raise UsageError(
            f"expected two eyes {where} for --stereo {layout.stereo}, but the halves share {shared:.0%} of their "
            "surfaces; give --stereo off for a picture for one eye"
        )
