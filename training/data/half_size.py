"""Pairs at half their size, for the first part of a run: a crop shows four times as much there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.training.data.pairs import Pair


def halved(pairs: Sequence[Pair], smallest: int) -> list[Pair]:
    """The pairs scaled down by area; a pair stays as it is where a side would fall below `smallest`."""
    return [_half(pair) if min(pair.before.shape[1:]) // 2 >= smallest else pair for pair in pairs]


def _half(pair: Pair) -> Pair:
    loss_mask = None
    if pair.loss_mask is not None:
        # A sample is learned where all samples that it was made of are.
        loss_mask = _smaller(pair.loss_mask.float()) == 1
    return replace(pair, before=_smaller(pair.before), after=_smaller(pair.after), loss_mask=loss_mask)


def _smaller(picture: Tensor) -> Tensor:
    """(C, H, W) of any type, half as high and wide."""
    stored = picture.permute(1, 2, 0).numpy()
    samples = stored if stored.dtype == np.uint8 else stored.astype(np.float32)
    size = stored.shape[1] // 2, stored.shape[0] // 2
    small = cv2.resize(samples, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    return torch.from_numpy(small.astype(stored.dtype)).permute(2, 0, 1).contiguous()
