"""The paint of keys carried to where their surfaces are in a frame, and laid over the network's painting.

Of several keys each pixel takes the one that it is found in most surely; a broad blend of colours and a narrow one of
strokes hides where they meet. The light of the frame comes from the network: where it paints the frame otherwise than
the key's plate, smoothly over a wide neighbourhood, the carried paint follows. All depends on the frame and the keys
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.frame import KeyMotion, Samples
from impasto.core.keyframe_paint.correspondence import Correspondence, follow, judged
from impasto.core.keyframe_paint.matching import compared_size, scaled, sized_motion
from impasto.core.keyframe_paint.plates import Plate, blurred, difference, fetched, plate_of
from impasto.core.keys_quality import KeysQuality

Half = npt.NDArray[np.float16]

GLANCE = 160
"""Longer side of the pictures in which a frame's keys are chosen."""
LEAST_SIDE = 24
"""Pictures with a shorter side have nothing that could be followed."""
FOLLOWED = {"draft": 1, "standard": 2, "best": 4}
"""How many keys a frame is followed into."""
RELATED = 0.2
"""Share of a frame that a key must show to be followed at all: less is found by chance in any other scene."""
WORTH = 0.004
"""Share of a frame that a further key must show for it to be followed too."""
BY_HAND = 1.5
"""How much surer a painted key is than one that was made from it."""
DECIDED = 6.0
"""How firmly a pixel takes the key that it is found in most surely; at 1 the strokes of two keys would mix."""
CLOSER = 0.25 / 255
"""Softens the choice between keys by how much they look like the frame altogether."""
MEET = 3.0
"""Sigma, in pixels of the compared size, of the blend in which strokes of two keys, or of key and network, meet."""
MEET_BROADLY = 10.0
"""The same for their colours."""
LIGHT = 16.0
"""The same for how light and colour changed since the key."""
MOST_LIGHT = 0.35
"""Largest change of a channel by light."""
LESS = 4
"""How many times smaller the pictures are from which light is taken."""


@dataclass(frozen=True, slots=True)
class ReadyKey:
    """A key at the size of the frames, ready to be carried.

    `paint` is (H, W, 3). For comparison, at the compared size: `plate`, where there is paint, `held`, (h, w) in [0, 1],
    and the network's painting of the plate. `by_hand` is False for keys that were made from others, of whose paint the
    share `invented`, (h, w), comes from no key by hand.
    """

    paint: Half
    plate: Plate
    held: Samples
    painting: Samples
    by_hand: bool = True
    invented: Samples | None = None


@dataclass(frozen=True, slots=True)
class CarriedPaint:
    """Paint of keys in a frame, (H, W, 3), how sure it is, and how much of it is invented, (h, w) in [0, 1].

    (h, w) is the compared size.
    """

    paint: Samples
    confidence: Samples
    invented: Samples


def ready_key(
    plate: Samples, paint: Samples, held: Samples, painting: Samples, invented: Samples | None = None
) -> ReadyKey:
    """A key of plate, paint and the network's painting of the plate, (H, W, 3), and where there is paint, (H, W).

    One that is not by hand has `invented`, (H, W).
    """
    size = compared_size(*plate.shape[:2])
    small = plate_of(scaled(plate, size))
    made = None if invented is None else scaled(invented, size)
    return ReadyKey(paint.astype(np.float16), small, scaled(held, size), scaled(painting, size), invented is None, made)


def glance_of(plate: Samples) -> Plate:
    """A very small plate, in which the keys of a frame are chosen."""
    height, width = plate.shape[:2]
    scale = min(1.0, GLANCE / max(height, width))
    return plate_of(scaled(plate, (max(16, round(height * scale)), max(16, round(width * scale)))))


def chosen(
    picture: Samples,
    glances: Sequence[Plate],
    by_hand: int,
    quality: KeysQuality,
    noise: float = 0.0,
    motion: Sequence[KeyMotion | None] = (),
) -> list[int]:
    """The keys that show most of a picture (H, W, 3), each more of what those before it do not.

    `glances` are very small plates of all keys, of which the first are `by_hand`.
    """
    if min(picture.shape[:2]) < LEAST_SIDE:
        return []
    glance, shown = glance_of(picture), []
    for index, key in enumerate(glances):
        given = motion[index] if index < len(motion) else None
        if given is None:
            shown.append(follow(glance, key, "draft", noise).confidence)
        else:
            small = sized_motion(given, glance.luma.shape)
            shown.append(judged(glance, key, small.flow, noise).confidence * (1 - small.lost))
    found: list[int] = []
    covered = np.zeros(glance.luma.shape, np.float32)
    bonus = [WORTH * (index < by_hand) for index in range(len(glances))]
    while len(found) < min(FOLLOWED[quality], len(glances)):
        gains = [
            -1.0 if index in found or each.mean() < RELATED else float(np.maximum(each - covered, 0).mean()) + more
            for index, (each, more) in enumerate(zip(shown, bonus, strict=True))
        ]
        best = int(np.argmax(gains))
        if gains[best] < 2 * WORTH:
            break
        found.append(best)
        covered = np.maximum(covered, shown[best])
    return found


def carry(
    painted: Samples,
    picture: Samples,
    keys: Sequence[ReadyKey],
    quality: KeysQuality,
    noise: float = 0.0,
    motion: Sequence[KeyMotion | None] = (),
    starts: Sequence[Samples | None] = (),
) -> CarriedPaint | None:
    """The paint of keys that a picture (H, W, 3) shows, `painted` by the network; None where it shows none of it.

    `motion` is a renderer's motion into each key, which is followed as it is; `starts` are motions into each key, of
    the compared size, with which to begin.
    """
    size = compared_size(*picture.shape[:2])
    plate = plate_of(scaled(picture, size))
    found: list[tuple[ReadyKey, Correspondence]] = []
    for index, key in enumerate(keys):
        given = motion[index] if index < len(motion) else None
        start = starts[index] if index < len(starts) else None
        found.append((key, _followed(plate, key, quality, noise, given, start)))
    if not any(float(each.confidence.max()) > 0 for _, each in found):
        return None
    return _merged(plate, painted, found)


def laid(painted: Samples, carried: CarriedPaint, amount: float) -> Samples:
    """Carried paint laid over a painting (H, W, 3) by `amount`, its colours broadly and its strokes narrowly."""
    size = carried.confidence.shape[:2]
    whole = (painted.shape[0], painted.shape[1])
    eroded = np.asarray(cv2.erode(carried.confidence, np.ones((3, 3), np.uint8)), np.float32)
    sure = np.clip(1.6 * blurred(eroded, MEET / 2) - 0.3, 0, 1).astype(np.float32)
    change = carried.paint - painted
    small = np.asarray(scaled(change, size) * sure[..., None], np.float32)
    around = blurred(sure, MEET_BROADLY)
    spread = np.asarray(blurred(small, MEET_BROADLY) / np.maximum(around, 1e-3)[..., None], np.float32)
    colours = _sized(spread, whole)
    # Where the paint is sure it is the paint; around it, its colours fade away.
    faded: Samples = np.maximum(around, sure)
    weight, fading = (_sized(each, whole)[..., None] for each in (sure, faded))
    return np.asarray(painted + amount * (weight * (change - colours) + fading * colours), np.float32)


def _followed(
    plate: Plate, key: ReadyKey, quality: KeysQuality, noise: float, given: KeyMotion | None, start: Samples | None
) -> Correspondence:
    if given is None:
        found = follow(plate, key.plate, quality, noise, start)
    else:
        motion = sized_motion(given, plate.luma.shape)
        found = judged(plate, key.plate, motion.flow, noise)
        found = Correspondence(found.flow, found.confidence * (1 - np.maximum(motion.lost, motion.silent)))
    return Correspondence(found.flow, found.confidence * fetched(key.held, found.flow, cv2.INTER_LINEAR))


def _merged(plate: Plate, painted: Samples, found: list[tuple[ReadyKey, Correspondence]]) -> CarriedPaint:
    """One paint of several keys."""
    size, whole = plate.luma.shape, (painted.shape[0], painted.shape[1])
    firm = []
    for key, each in found:
        sure = blurred(each.confidence, MEET) + 1e-3
        off = difference(plate, key.plate, each.flow)
        close = CLOSER / (CLOSER + float((off * each.confidence).sum()) / (float(each.confidence.sum()) + 1e-3))
        firm.append((sure * (BY_HAND if key.by_hand else 1)) ** DECIDED * close**2)
    total = np.sum(firm, axis=0)
    paint = np.zeros((*whole, 3), np.float32)
    invented = np.zeros(size, np.float32)
    small = scaled(painted, _less(size))
    for (key, each), part in zip(found, firm, strict=True):
        carried = np.clip(fetched(key.paint.astype(np.float32), _sized_flow(each.flow, whole)), 0, 1)
        carried = np.asarray(carried + _sized(_light(small, key, each), whole), np.float32)
        share: Samples = np.asarray(part / total, np.float32)
        paint += _sized(share, whole)[..., None] * carried
        if key.invented is not None:
            invented += share * fetched(key.invented, each.flow, cv2.INTER_LINEAR)
    confidence = np.max([each.confidence for _, each in found], axis=0)
    return CarriedPaint(paint, np.asarray(confidence, np.float32), invented)


def _light(painted: Samples, key: ReadyKey, found: Correspondence) -> Samples:
    """How the network paints a frame otherwise than the key's plate, where both show the same, smoothly: small."""
    size = (painted.shape[0], painted.shape[1])
    flow = _sized_flow(found.flow, size)
    sure = scaled(found.confidence, size)
    sigma = LIGHT / LESS
    before = fetched(scaled(key.painting, size), flow, cv2.INTER_LINEAR)
    change = (painted - before) * sure[..., None]
    around = blurred(change, sigma) / (blurred(sure, sigma) + 0.02)[..., None]
    return np.asarray(np.clip(around, -MOST_LIGHT, MOST_LIGHT), np.float32)


def _less(size: tuple[int, ...]) -> tuple[int, int]:
    return max(1, size[0] // LESS), max(1, size[1] // LESS)


def _sized(plane: Samples, size: tuple[int, int]) -> Samples:
    if plane.shape[:2] == size:
        return plane
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _sized_flow(flow: Samples, size: tuple[int, int]) -> Samples:
    """A flow at another size, its offsets in pixels of that size."""
    scale = np.array([size[1] / flow.shape[1], size[0] / flow.shape[0]], np.float32)
    return _sized(flow, size) * scale
