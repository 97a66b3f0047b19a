"""Plates for tests, the same on every machine: noise, soft noise, frames of noise, and pairs for training."""

from __future__ import annotations

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


def plate(height: int = 40, width: int = 56, *, channels: int = 3, dtype: str = "float32", seed: int = 1) -> Frame:
    """A frame of white noise: grey, grey and alpha, RGB or RGBA by the number of channels."""
    return Frame.from_pixels(noise(height, width, channels, dtype=dtype, seed=seed))


def write_pairs(folder: Path, count: int = 2, side: int = 64) -> None:
    """Folders 'before' and 'after' of PNG files: noise, and its negative."""
    for name in ("before", "after"):
        (folder / name).mkdir()
    for number in range(count):
        before = noise(side, side, dtype="uint8", seed=number)
        cv2.imwrite(str(folder / "before" / f"{number}.png"), before)
        cv2.imwrite(str(folder / "after" / f"{number}.png"), 255 - before)
