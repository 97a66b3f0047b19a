"""The keys as a style file stores them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.card import KeyFacts
from impasto.core.frame import Samples
from impasto.core.keyframe_paint.matching import nearest
from impasto.core.keyframe_paint.stored_keys import LONGEST_SIDE, Keys
from impasto.training.data.keyframes import Key, UnpaintedFrame
from impasto.training.data.made_keys import MadeKey
from impasto.training.data.pictures import as_float
from impasto.training.data.shot_statistics import camera_moves, noise_of


def exported_keys(
    keys: Sequence[Key], unpainted: Sequence[UnpaintedFrame], made: Sequence[MadeKey] = (), *, carried: bool = False
) -> Keys | None:
    """The keys as a style file stores them, with facts of the shot; None where they differ in size.

    `carried` says that their paint is a hand's, and `made` are the further keys that were made from them. Keys whose
    data windows differ cannot lie upon one frame. Sides beyond `LONGEST_SIDE` are scaled down to it.
    """
    height, width = keys[0].plate.shape[1:]
    if any(key.plate.shape[1:] != (height, width) for key in keys):
        return None
    plates = [_picture(key.plate) for key in keys]
    others = [_picture(each.picture) for each in unpainted if each.picture.shape[1:] == (height, width)]
    all_8_bit = all(tensor.dtype == torch.uint8 for key in keys for tensor in (key.plate, key.paint))
    samples = torch.uint8 if all_8_bit else torch.float16
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = round(height * scale), round(width * scale)
    facts = KeyFacts(
        frames=tuple(key.number for key in keys),
        height=size[0],
        width=size[1],
        samples="uint8" if all_8_bit else "float16",
        noise=round(float(np.median([noise_of(plate) for plate in plates])), 2),
        follow=camera_moves(plates[0], others),
        carried=carried,
        made=tuple(each.number for each in made),
    )
    plates += [_picture(each.plate) for each in made]
    paints = [_picture(key.paint) for key in keys] + [each.paint for each in made]
    held = [key.loss_mask[0].numpy().astype(np.float32) for key in keys] + [each.held for each in made]
    guides = [
        torch.from_numpy(nearest(planes.float().permute(1, 2, 0).numpy(), size)).permute(2, 0, 1).half().contiguous()
        for planes in [*(key.guides for key in keys), *(each.guides for each in made)]
        if planes is not None
    ]
    return Keys(
        facts,
        torch.stack([_stored(plate, size, samples) for plate in plates]),
        torch.stack([_stored(paint, size, samples) for paint in paints]),
        torch.stack([_stored(each[..., None], size, torch.uint8) for each in held]),
        torch.stack(guides) if guides else None,
        torch.stack([_stored(each.invented[..., None], size, torch.uint8) for each in made]) if made else None,
    )


def _picture(stored: Tensor) -> Samples:
    return np.ascontiguousarray(as_float(stored).permute(1, 2, 0).numpy())


def _stored(picture: Samples, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """(H, W, C) in [0, 1] at this size, as (C, H, W) of this type."""
    if picture.shape[:2] != size:
        smaller = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        picture = np.asarray(smaller, np.float32).reshape(*size, -1)
    planes = torch.from_numpy(picture).permute(2, 0, 1)
    return (planes * 255).round().to(dtype) if dtype == torch.uint8 else planes.to(dtype).contiguous()
