"""Contact sheets of a run: plate, result, target."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.errors import OutputError
from impasto.core.generators.unet import UNet

SIDE = 448


@torch.no_grad()
def stylize(net: UNet, plate: Tensor, style: int = 0) -> Tensor:
    """A whole picture (3, H, W) in [0, 1] through the network, edges repeated up to its stride; not clipped.

    `style` counts the styles of a network that holds several.
    """
    height, width = plate.shape[1:]
    stride = net.config.stride
    padded = F.pad(plate[None], (0, -width % stride, 0, -height % stride), mode="replicate")
    gain, bias = net(padded, None if net.codes is None else net.codes[style : style + 1])
    result: Tensor = gain * padded[:, :3] + bias
    return result[0, :, :height, :width]


def write_sheet(path: Path, rows: list[tuple[Tensor, ...]]) -> None:
    """Rows of equally sized pictures (3, H, W), working space, as one PNG; clipped and stored as 8 bits.

    OutputError where it cannot be written; the old sheet stays.
    """
    strips = []
    for row in rows:
        pictures = [picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy() for picture in row]
        scale = SIDE / pictures[0].shape[1]
        strips.append(
            np.hstack([cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for p in pictures])
        )
    width = min(strip.shape[1] for strip in strips)
    sheet = np.vstack([strip[:, :width] for strip in strips])
    partial = path.with_name(f".{path.name}.part.png")
    try:
        if not cv2.imwrite(str(partial), np.rint(sheet[..., ::-1] * 255).astype(np.uint8)):
            raise OSError("no picture was written")
        partial.replace(path)
    except (OSError, cv2.error) as error:
        raise OutputError(f"could not write the contact sheet '{path}': {error}; free space in its folder") from error
