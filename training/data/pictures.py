"""Training pictures from files, in the working space that the networks see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import MediaError, TrainingError
from impasto.core.frame import Frame
from impasto.core.media import open_reader
from impasto.core.working_picture import WorkingPicture, to_working

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".dpx", ".hdr")


def picture_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of every picture in a folder; TrainingError where there is no such folder."""
    if not folder.is_dir():
        raise TrainingError(f"expected a folder of pictures, '{folder}' is none; check the path")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


def read_picture(path: Path, input_space: str | None = None) -> Tensor:
    """A picture as the engine shows it to a network: (3, H, W), working space, without its alpha.

    8-bit sRGB stays uint8; everything else (EXR in scene-linear or the space of its header, 16 bits)
    becomes float16 in [0, 1], light above 1 carried around as in a render. `input_space` names the space of floats.
    """
    return as_stored(seen_in(read_one(path, "training picture"), input_space))


def read_one(path: Path, what: str) -> Frame:
    """The one frame of a picture; TrainingError where it cannot be read."""
    try:
        with open_reader(str(path)) as reader:
            return next(iter(reader))
    except MediaError as error:
        raise TrainingError(f"could not read a {what}: {error}") from error


def seen_in(frame: Frame, input_space: str | None) -> WorkingPicture:
    """What the network sees of a frame, whose space is given by name where its samples are float."""
    is_float = np.issubdtype(frame.part.pixels.dtype, np.floating)
    return to_working(frame, input_space=input_space if is_float else None)


def as_stored(seen: WorkingPicture) -> Tensor:
    """What the network sees of a frame, as training keeps it: (3, H, W) uint8 where that is exact, else float16."""
    colour = seen.frame.colour
    if seen.residual is None and colour.dtype == np.uint8:
        samples = np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour
        return torch.from_numpy(np.ascontiguousarray(samples)).permute(2, 0, 1).contiguous()
    return torch.from_numpy(seen.picture.astype(np.float16)).permute(2, 0, 1).contiguous()


def as_float(stored: Tensor) -> Tensor:
    """A stored picture as float32 in [0, 1]."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored.float()
