"""Damage as cheap cameras, long transmissions and old archives do it. `train enhance` learns to undo it.

The steps follow the way of a picture: the lens blurs light, the sensor samples it coarsely and adds noise that grows
with the signal, a codec drops fine detail, and a player scales the picture up again.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour import decode, encode
from impasto.core.frame import Samples
from impasto.training.data.augmentation import through_jpeg

CLIP = 6
"""Frames of the clip that a plate becomes for H.264, so that all its kinds of pictures occur."""

Codec = Literal["none", "jpeg", "h264"]


@dataclass(frozen=True, slots=True)
class Damage:
    """The damage to one plate; the defaults do nothing."""

    blur: float = 0.0
    """Standard deviation of the blur of the lens, in pixels."""
    scale: float = 1.0
    """Size of the picture that the sensor takes, as a fraction of the plate's."""
    shot: float = 0.0
    """Variance of the noise in light, divided by the light (photons)."""
    read: float = 0.0
    """Standard deviation of the noise in light where there is no light (electronics)."""
    codec: Codec = "none"
    strength: int = 0
    """Quality of JPEG, 1 to 100; constant rate factor of H.264, 0 to 51."""
    moves: tuple[int, int] = (0, 0)
    """For H.264: pixels to the right and down by which the picture moves from frame to frame."""
    shown: int = 0
    """For H.264: the number of the frame in the clip. The first is coded by itself, others from their neighbours."""


def drawn_damage(name: str) -> Damage:
    """The damage of a pair, drawn from its name, so that a resumed run makes the same pictures.

    It goes from hardly visible to barely recognisable. One pair in twelve gets none: clean pictures must stay as they
    are.
    """
    chance = chance_of(name)
    if chance.random() < 1 / 12:
        return Damage()
    codec: Codec = ("h264", "jpeg", "none")[chance.choice(3, p=(0.36, 0.36, 0.28))]
    # Before a codec a picture is mostly sharp, with little noise. If it were often blurred, a network would learn to
    # sharpen blocks.
    blurred, smaller, noisy, least, most = (
        (0.35, 0.2, 0.8, 1e-4, 5e-3) if codec == "none" else (0.08, 0.06, 0.5, 3e-5, 2e-3)
    )
    blur = chance.uniform(0.25, 1.1) if chance.random() < blurred else 0.0
    scale = chance.uniform(0.6, 0.95) if chance.random() < smaller else 1.0
    shot = read = 0.0
    if chance.random() < noisy:
        shot = math.exp(chance.uniform(math.log(least), math.log(most)))
        read = math.exp(chance.uniform(math.log(2e-4), math.log(3e-3)))
    if codec == "h264":
        moves = int(chance.integers(-4, 5)), int(chance.integers(-2, 3))
        crf, shown = int(chance.integers(20, 37)), int(chance.integers(CLIP))
        return Damage(blur, scale, shot, read, codec, crf, moves, shown)
    return Damage(blur, scale, shot, read, codec, int(chance.integers(18, 86)) if codec == "jpeg" else 0)


def degraded(plate: Samples, damage: Damage, chance: np.random.Generator) -> Samples:
    """A clean plate (H, W, 3) float32, working space, in [0, 1], after the damage; the same shape and range.

    `chance` draws the noise. Codecs work in 8 bits, with colour at half the resolution. Without H.264 the result is the
    same every time. The libx264 in PyAV's wheels is not repeatable to the bit, so pairs are made once and kept.
    """
    height, width = plate.shape[:2]
    taken = plate
    if damage.blur or damage.scale < 1:
        light = decode(plate)
        if damage.blur:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), damage.blur), np.float32)
        if damage.scale < 1:
            size = max(16, round(width * damage.scale)), max(16, round(height * damage.scale))
            light = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)
        taken = encode(light)
    if damage.codec == "h264":
        stored = _through_h264(taken, damage, chance)
        taken = np.asarray(stored / np.float32(255), np.float32)
    else:
        taken = noised(taken, damage, chance)
        if damage.codec == "jpeg":
            taken = np.asarray(through_jpeg(_as_bytes(taken), damage.strength) / np.float32(255), np.float32)
    if taken.shape != plate.shape:
        taken = np.asarray(cv2.resize(taken, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(taken, 0, 1)


def noised(picture: Samples, damage: Damage, chance: np.random.Generator) -> Samples:
    """A picture (H, W, 3), working space, with the noise of a sensor: Gaussian in light, of a variance linear in it.

    The model is that of Foi et al. 2008 (doi:10.1109/TIP.2008.2001399). The result is clipped to [0, 1], as a sensor
    clips.
    """
    if not (damage.shot or damage.read):
        return picture
    light = decode(picture)
    spread = np.sqrt(np.float32(damage.shot) * np.maximum(light, 0) + np.float32(damage.read**2))
    light = light + spread * chance.standard_normal(light.shape, np.float32)
    return encode(np.clip(light, 0, 1))


def _through_h264(picture: Samples, damage: Damage, chance: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One frame of a short clip, coded as H.264. The picture drifts, and each frame has noise of its own."""
    height, width = picture.shape[:2]
    even = picture[: height - height % 2, : width - width % 2]  # 4:2:0 has no odd sizes
    clip = []
    for number in range(CLIP):
        right, down = ((number - damage.shown) * step for step in damage.moves)
        drift = np.array([[1, 0, right], [0, 1, down]], np.float32)
        moved = cv2.warpAffine(even, drift, even.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        clip.append(_as_bytes(noised(np.asarray(moved, np.float32), damage, chance)))
    decoded = through_h264(clip, damage.strength)[damage.shown]
    return np.pad(decoded, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def through_h264(clip: list[npt.NDArray[np.uint8]], crf: int) -> list[npt.NDArray[np.uint8]]:
    """RGB frames of one even size, coded as H.264 with this constant rate factor and decoded again.

    It uses one thread, because several would give other pictures each time.
    """
    writer = av.CodecContext.create("libx264", "w")
    writer.width, writer.height = clip[0].shape[1], clip[0].shape[0]
    writer.pix_fmt = "yuv420p"
    writer.framerate = Fraction(25)
    writer.options = {"crf": str(crf), "preset": "fast", "threads": "1"}
    reader = av.CodecContext.create("h264", "r")
    reader.thread_count = 1
    packets = []
    for number, picture in enumerate(clip):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += writer.encode(frame)
    packets += writer.encode(None)
    shown = [frame for packet in packets for frame in reader.decode(packet)] + list(reader.decode(None))
    return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in shown]


def chance_of(name: str) -> np.random.Generator:
    """Random numbers that depend on a name alone."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def _as_bytes(picture: Samples) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)
