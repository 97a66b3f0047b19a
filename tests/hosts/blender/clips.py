"""Small clips of our own making: movies of several rates, EXR sequences, pictures with alpha. Made in this process.

Every frame is a ramp that says its own number by its brightness, so that a frame out of place is seen.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer

WIDTH, HEIGHT = 96, 64
RATES = {"24": Fraction(24), "25": Fraction(25), "29.97": Fraction(30000, 1001)}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT, channels: int = 3) -> npt.NDArray[np.float32]:
    """Frame `number` of every clip, (height, width, channels) in [0, 1]; alpha is a disc with a soft rim."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    level = np.float32(0.15 + 0.7 * (number % 24) / 24)
    colour = np.stack([x / width, y / height, 0.5 + 0.5 * np.sin((x + y) / 9)], axis=-1) * level
    if channels == 3:
        return colour
    far = np.hypot(x - width / 2, y - height / 2) / (height / 2)
    alpha = np.clip(4 * (0.9 - far), 0, 1)[..., None]
    return np.concatenate([colour * alpha, alpha], axis=-1)


def movie(path: Path, frames: int = 12, rate: Fraction = RATES["24"], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """An H.264 movie (.mp4, .mov) or whatever else the ending says; its first frame is `picture(0)`."""
    width, height = size
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(str(path), ShotInfo("", "movie", 1, frames, width, height, rate=rate)) as writer:
        for number in range(frames):
            pixels = np.rint(picture(number, width, height) * 255).astype(np.uint8)
            writer.write(Frame.from_pixels(pixels, number=number + 1))
    return path


def sequence(
    folder: Path, frames: int = 8, first: int = 1001, channels: int = 3, ending: str = "exr", dtype: Any = np.float16
) -> list[Path]:
    """A numbered sequence, 'plate.1001.exr' and on, whose first frame is `picture(0)`; the files in order."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = str(folder / f"plate.####.{ending}")
    with open_writer(pattern, ShotInfo("", "sequence", first, frames, WIDTH, HEIGHT)) as writer:
        for number in range(frames):
            pixels = picture(number, channels=channels)
            stored = np.rint(pixels * 255).astype(np.uint8) if dtype is np.uint8 else pixels.astype(dtype)
            writer.write(Frame.from_pixels(stored, number=first + number))
    return [folder / f"plate.{first + number:04d}.{ending}" for number in range(frames)]
