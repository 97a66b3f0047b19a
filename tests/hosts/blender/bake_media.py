"""The clips that bakes are tested with: lossless, each frame bearing its number, so that a wrong one is seen."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from impasto.core.frame import AlphaKind, Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.core.style_file import BUILT_IN
from tests.hosts.blender.inside import bake_changes, bake_scenes

WIDTH, HEIGHT = bake_scenes.SIZE
LONG = 30
"""Frames of the clip whose painting is cancelled."""


def write_media(folder: Path) -> Path:
    """Clips of our own: lossless RGB movies of three rates, one with alpha, EXR, PNG, a still, a matte."""
    rates = {"24": Fraction(24), "25": Fraction(25), "2997": Fraction(30000, 1001)}
    for name, rate in rates.items():
        write_movie(folder / f"lossless_{name}.mkv", "ffv1", "bgr0", rate, 24, (WIDTH, HEIGHT))
    write_movie(folder / "straight.mov", "png", "rgba", rates["24"], 24, (WIDTH, HEIGHT))
    write_movie(folder / "wide.mp4", "libx264", "yuv444p", rates["24"], 12, (320, 180))
    write_movie(folder / "wide_long.mp4", "libx264", "yuv444p", rates["25"], LONG, (320, 180))
    linear = [((picture(number) / 255.0) ** 2.2).astype(np.float16) for number in range(8)]
    for each in linear:
        each[4:9, 4:9] = 12.5
    write_pictures(folder / "light" / "plate.####.exr", linear)
    straight = [np.dstack([picture(number), alpha_of()]) for number in range(8)]
    write_pictures(folder / "straight" / "plate.####.png", straight, AlphaKind.UNASSOCIATED)
    write_pictures(folder / "still" / "one.png", [picture(5)[:, ::-1]])
    half = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    half[:, WIDTH // 2 :] = 255
    write_pictures(folder / "matte" / "half.png", [half])
    shutil.copy(BUILT_IN / f"{bake_changes.STYLE}.safetensors", folder / "painter.safetensors")
    return folder


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Frame `number` of every clip, RGB uint8: ramps, and its number in blocks of black and white."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, number * 8 % 256)], axis=-1)
    for bit in range(6):
        pixels[height - 8 :, bit * 10 : bit * 10 + 8] = 255 if number >> bit & 1 else 0
    return pixels.astype(np.uint8)


def alpha_of(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Opaque above, half transparent in the middle, nothing at the bottom."""
    return np.repeat(np.array([255, 128, 0], np.uint8), height // 3)[:, None] * np.ones(width, np.uint8)


def write_movie(path: Path, codec: str, pixels: str, rate: Fraction, frames: int, size: tuple[int, int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number in range(frames):
            shown = picture(number, *size)
            if pixels == "rgba":
                frame = av.VideoFrame.from_ndarray(np.dstack([shown, alpha_of(*size)]), "rgba")
            else:
                frame = av.VideoFrame.from_ndarray(shown, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_pictures(path: Path, pictures: list[np.ndarray], alpha: AlphaKind = AlphaKind.NONE) -> None:
    with open_writer(str(path), ShotInfo("", "sequence", 1, len(pictures), WIDTH, HEIGHT)) as writer:
        for number, pixels in enumerate(pictures, 1):
            writer.write(Frame.from_pixels(pixels, number=number, alpha_kind=alpha))
