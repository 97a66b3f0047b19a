"""Small pictures and shots to train on: the same for every test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.media import ShotInfo, open_writer

HEIGHT, WIDTH = 96, 128


def smooth(height: int = HEIGHT, width: int = WIDTH, seed: int = 1, *, cell: int = 8) -> Samples:
    """A picture (H, W, 3) in [0, 1] that changes over `cell` pixels."""
    coarse = np.random.default_rng(seed).random((height // cell, width // cell, 3), np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def stored(picture: Samples, dtype: torch.dtype = torch.uint8) -> Tensor:
    """A picture as training stores it, (3, H, W)."""
    planes = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    return (planes * 255).round().to(torch.uint8) if dtype == torch.uint8 else planes.to(dtype)


def smooth_tensors(count: int, height: int = 72, width: int = 72) -> list[Tensor]:
    """Different pictures, (3, H, W) uint8."""
    return [stored(smooth(height, width, seed)) for seed in range(1, count + 1)]


def plate(number: int) -> Samples:
    """A frame of a shot: a still ground and a square that crosses it; in [0, 1]."""
    picture = smooth()
    picture[40:64, 8 * number : 8 * number + 24] = (0.9, 0.2, 0.1)
    return picture


def painted(picture: Samples) -> Samples:
    """What the painter of that shot makes of a frame."""
    return np.asarray(1 - 0.8 * picture[..., ::-1], np.float32)


def save(path: Path, picture: Samples) -> Path:
    """Write a picture in [0, 1] with 8 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(picture[..., ::-1] * 255).astype(np.uint8))
    return path


def write_shot(folder: Path) -> str:
    """Eight plates in `folder`/plates and a key of the third in `folder`/keys; returns the pattern of the plates."""
    for number in range(1, 9):
        save(folder / "plates" / f"p.{number:04}.png", plate(number))
    save(folder / "keys" / "k.0003.png", painted(plate(3)))
    return str(folder / "plates" / "p.####.png")


def write_frames(target: Path, pictures: list[Pixels], first: int = 1, space: str = "") -> str:
    """Samples as they are, as a movie or a sequence, or as a still where the name has no number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    kind = "sequence" if "#" in target.name else "still"
    with open_writer(str(target), ShotInfo("", kind, first, len(pictures), width, height)) as writer:  # type: ignore[arg-type]
        for number, picture in enumerate(pictures, first):
            writer.write(Frame.from_pixels(picture, colour_space=space or None, number=number))
    return str(target)


def weights(net: torch.nn.Module) -> Tensor:
    """All weights of a network in a row."""
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
