"""Whether a key's brushwork follows from its plate, as a filter's does, or is set by a hand.

Its fine detail is predicted from the plate around each pixel, by random filters and a linear fit on half of the
picture, and compared on the other half. Of the stroke painter's detail a third is explained, of strokes that are set
by chance or by a hand next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.colour import LUMA
from impasto.core.frame import Samples
from impasto.core.keyframe_paint.matching import compared_size, scaled
from impasto.training.data.data_windows import Mask

BY_HAND = 0.15
"""Share of the detail that is explained, up to which it is a hand's. Measured: strokes of chance -0.03 to 0.01, a key
by a text-driven model 0.02, the stroke painter 0.34 to 0.38."""
FINE = 2.0
"""Sigma, in pixels of the compared size, above which detail counts as brushwork."""
FILTERS, SIDE = 96, 9
BLOCK = 32
"""Side of the squares of which every other one is learned from."""
SAMPLED = 5
"""Every n-th pixel is looked at."""
LEAST = 100
"""Pixels of either half below which nothing can be said."""


def painted_by_hand(pictures: Sequence[tuple[Samples, Samples, Mask]]) -> bool:
    """Whether keys are a hand's: plates and paints (H, W, 3), and where there is paint, (H, W)."""
    shares = [explained(*each) for each in pictures]
    return float(np.median(shares)) < BY_HAND


def explained(plate: Samples, paint: Samples, held: Mask) -> float:
    """Share of a paint's fine detail that follows from its plate; 1 where there is none."""
    size = compared_size(*plate.shape[:2])
    plate, paint, within = (scaled(each, size) for each in (plate, paint, held.astype(np.float32)))
    detail = np.asarray((paint - cv2.GaussianBlur(paint, (0, 0), FINE)) @ LUMA, np.float64).ravel()
    seen = _answers(torch.from_numpy(plate).permute(2, 0, 1)[None])
    rows, columns = np.indices(size) // BLOCK
    looked = np.flatnonzero(within.ravel() > 0.5)[::SAMPLED]
    is_first = ((rows + columns) % 2 == 0).ravel()[looked]
    first, second = looked[is_first], looked[~is_first]
    if min(len(first), len(second)) < LEAST or np.square(detail[second]).mean() < 1e-7:
        return 1.0
    known = seen[:, first].T.double()
    middle = known.mean(dim=0)
    known = known - middle
    target = torch.from_numpy(detail[first] - detail[first].mean())
    ridge = 1e-3 * len(first) * torch.eye(known.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(known.T @ known + ridge, known.T @ target)
    predicted = ((seen[:, second].T.double() - middle) @ weights).numpy()
    return float(1 - np.square(predicted - detail[second]).sum() / np.square(detail[second]).sum())


def _answers(plate: Tensor) -> Tensor:
    """What random filters answer around each pixel, finely and more broadly, rectified both ways: (n, H * W)."""
    generator, found = torch.Generator().manual_seed(3), []
    for scale in (1, 2):
        filters = torch.randn(FILTERS, 3, SIDE, SIDE, generator=generator)
        filters = filters - filters.mean(dim=(2, 3), keepdim=True)
        filters = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        answers = F.conv2d(F.pad(F.avg_pool2d(plate, scale), (SIDE // 2,) * 4, mode="replicate"), filters)
        answers = answers / (answers.std() + 1e-6)
        answers = torch.cat((F.relu(answers - 0.3), F.relu(-answers - 0.3)), dim=1)
        found.append(F.interpolate(answers, size=plate.shape[2:], mode="bilinear")[0].flatten(1))
    return torch.cat(found)
