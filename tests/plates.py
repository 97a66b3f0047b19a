"""Plates for tests, the same on every machine: noise, frames of noise, sequences, and pairs for training."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from impasto.core.frame import Frame, Pixels, Samples


def noise(height: int = 40, width: int = 56, channels: int = 3, *, dtype: str = "float32", seed: int = 1) -> Pixels:
    """(H, W, C) of white noise in [0, 1), over the whole range of an integer type."""
    samples = np.random.default_rng(seed).random((height, width, channels), np.float32)
    greatest = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (samples * greatest).astype(dtype)


def soft_noise(height: int = 96, width: int = 128, channels: int = 3, *, cell: int = 2, seed: int = 1) -> Samples:
    """(H, W, C) float32 of noise in [0, 1] with soft grains of `cell` pixels."""
    coarse = noise(height // cell, width // cell, channels, seed=seed)
    return np.asarray(np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def plate(
    height: int = 40,
    width: int = 56,
    *,
    channels: int = 3,
    dtype: str = "float32",
    seed: int = 1,
    number: int = 0,
    opaque: bool = False,
) -> Frame:
    """A frame of white noise: grey, grey and alpha, RGB or RGBA by the number of channels; alpha 1 where `opaque`."""
    pixels = noise(height, width, channels, dtype=dtype, seed=seed)
    if opaque and channels in (2, 4):
        pixels[..., -1] = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return Frame.from_pixels(pixels, number=number)


def write_sequence(
    folder: Path,
    numbers: range,
    name: str = "plate",
    *,
    dtype: str = "float16",
    ending: str = "exr",
    size: tuple[int, int] = (32, 16),
    pixels: Callable[[int], Pixels] | None = None,
) -> str:
    """A sequence of RGB frames, (W, H) in size, each of one grey or of given `pixels`; its pattern."""
    from impasto.core.media import ShotInfo, open_writer

    pattern = str(folder / f"{name}.####.{ending}")
    width, height = size
    with open_writer(
        pattern, ShotInfo("", "sequence", numbers[0], len(numbers), width, height), overwrite=True
    ) as writer:
        for number in numbers:
            grey = np.full((height, width, 3), number / 100, dtype) if pixels is None else pixels(number)
            writer.write(Frame.from_pixels(grey, number=number))
    return pattern


def write_movie(path: Path, count: int, *, size: tuple[int, int] = (32, 16)) -> str:
    """A movie at 24 frames per second, each frame of one grey; its path."""
    from impasto.core.media import ShotInfo, open_writer

    width, height = size
    with open_writer(str(path), ShotInfo("", "movie", 1, count, width, height, rate=Fraction(24))) as writer:
        for number in range(1, count + 1):
            writer.write(Frame.from_pixels(np.full((height, width, 3), 20 * number, np.uint8), number=number))
    return str(path)


def write_pairs(folder: Path, count: int = 2, side: int = 64) -> None:
    """Folders 'before' and 'after' of PNG files: noise, and its negative."""
    for name in ("before", "after"):
        (folder / name).mkdir()
    for number in range(count):
        before = noise(side, side, dtype="uint8", seed=number)
        cv2.imwrite(str(folder / "before" / f"{number}.png"), before)
        cv2.imwrite(str(folder / "after" / f"{number}.png"), 255 - before)
