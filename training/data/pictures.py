"""Training pictures from files, in the working space that the networks see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import MediaError, TrainingError
from impasto.core.media import open_reader
from impasto.core.passage import see

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".dpx", ".hdr")


def picture_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of every picture in a folder; TrainingError where there is no such folder."""
    if not folder.is_dir():
        raise TrainingError(f"expected a folder of pictures, '{folder}' is none; check the path")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


def read_picture(path: Path) -> Tensor:
    """A picture as the engine shows it to a network: (3, H, W), working space, without its alpha.

    8-bit sRGB stays uint8; everything else (EXR in scene-linear or the space of its header, 16 bits)
    becomes float16 in [0, 1], light above 1 carried around as in a render.
    """
    try:
        with open_reader(str(path)) as reader:
            frame = next(iter(reader))
    except MediaError as error:
        raise TrainingError(f"could not read a training picture: {error}") from error
    seen = see(frame)
    if seen.carried is None and frame.colour.dtype == np.uint8:
        stored = np.repeat(frame.colour, 3, axis=2) if frame.colour.shape[2] == 1 else frame.colour
        return torch.from_numpy(np.ascontiguousarray(stored)).permute(2, 0, 1).contiguous()
    return torch.from_numpy(seen.picture.astype(np.float16)).permute(2, 0, 1).contiguous()
