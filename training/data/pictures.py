"""Training pictures from files, in the working space that the networks see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import TrainingError

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr")


def picture_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of every picture in a folder; TrainingError where there is no such folder."""
    if not folder.is_dir():
        raise TrainingError(f"expected a folder of pictures, '{folder}' is none; check the path")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}


def read_picture(path: Path) -> Tensor:
    """A picture as (3, H, W) in working space (sRGB): uint8 as stored where the file has 8 bits."""
    stored = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if stored is None:
        raise TrainingError(f"expected a picture, could not read '{path}'; it may be damaged")
    return torch.from_numpy(np.ascontiguousarray(stored[..., ::-1])).permute(2, 0, 1).contiguous()
