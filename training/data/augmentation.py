"""Disturbances of a plate that a result should not show: exposure and codecs."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.colour.srgb_tensors import decode, encode

CELL = 8
"""Side of JPEG's blocks."""
QUALITIES = (30, 90)


def exposed(plate: Tensor, most: float) -> Tensor:
    """Pictures (N, 3, H, W), working space, each brighter or darker by up to `most` stops of light, held at white.

    Draws from torch's global random state.
    """
    stops = most * (2 * torch.rand(plate.shape[0], 1, 1, 1) - 1)
    return encode(decode(plate) * torch.exp2(stops).to(plate.device)).clamp(max=1)


def compressed(plate: Tensor, share: float) -> Tensor:
    """Pictures (N, 3, H, W), working space, of which about this share was a JPEG of some quality once.

    Those are held in [0, 1] and 8 bits. The lattice of blocks lies anywhere. Draws from torch's global random state,
    on the CPU, where the codec works.
    """
    count = plate.shape[0]
    chosen = torch.nonzero(torch.rand(count) < share)[:, 0].tolist()
    if not chosen:
        return plate
    result = plate.clone()
    for index in chosen:
        quality = int(torch.randint(QUALITIES[0], QUALITIES[1] + 1, ()))
        top, left = torch.randint(CELL, (2,)).tolist()
        result[index] = with_blocks_at(plate[index], quality, top, left)
    return result


def through_jpeg(stored: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """An RGB picture (H, W, 3) written as JPEG of this quality and read again."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(stored[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)


def with_blocks_at(picture: Tensor, quality: int, top: int, left: int) -> Tensor:
    """A picture (3, H, W) through JPEG, clipped to [0, 1]; its first block is cut off by some rows and columns."""
    padded = F.pad(picture[None], (left, 0, top, 0), mode="replicate")[0]
    stored = (padded.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    shown = torch.from_numpy(through_jpeg(stored, quality)[top:, left:].copy()).permute(2, 0, 1)
    return shown.to(picture.device).float() / 255
