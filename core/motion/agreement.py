"""Whether motion vectors say what the plates show: signs and directions differ among renderers, and nothing says so.

A plate's neighbour, fetched along the vectors, must look like the plate. That is asked of the vectors as they are read
and of the same with x, y or both turned around; of optical flow only where the vectors say that nothing moves,
because on large moves and flat surfaces vectors are right where flow is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples
from impasto.core.motion.vectors import Field
from impasto.core.temporal import optical_flow, warped

Signs = tuple[Literal[1, -1], Literal[1, -1]]
CANDIDATES: tuple[Signs, ...] = ((1, 1), (-1, 1), (1, -1), (-1, -1))
MOVES = 1.0
"""Pixels of the small picture from which on a vector tells its sign."""
CLEARLY = 0.75
"""An error this much smaller than another, as a factor, is no chance."""
VISIBLE = 1 / 255
"""Errors that differ by less tell nothing."""
ENOUGH = 0.002
"""Share of the picture that has to move."""
STILL_ENOUGH = 0.05
"""Share of the picture that flow has to see moving for vectors that say nothing moves to be wrong."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What two plates say of the vectors between them.

    `errors` are the mean differences, in 1/255, of the plate from its neighbour fetched by the vectors as they are,
    and as `signs` would have them. 'still' stands for vectors that are 0 where much moves, as they are where a renderer
    knows nothing of it, 'scaled' for those that are not 0 there and far too short: then the second is that of optical
    flow. 'silent' where too little moves, or every sign fits as well.
    """

    verdict: Literal["agrees", "turned", "still", "scaled", "silent"]
    signs: Signs = (1, 1)
    errors: tuple[float, float] = (0.0, 0.0)


def judge(plate: Samples, neighbour: Samples, field: Field) -> Judgement:
    """Hold the vectors from a plate to its neighbour, all (h, w, …) of one size, against the two pictures."""
    height, width = field.known.shape
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    reach_x, reach_y = np.abs(field.flow[..., 0]), np.abs(field.flow[..., 1])
    # Where every candidate stays inside, so that none is better for the picture's edge.
    asked = field.known & (np.hypot(reach_x, reach_y) > MOVES)
    asked &= (x >= reach_x) & (x + reach_x <= width - 1) & (y >= reach_y) & (y + reach_y <= height - 1)
    if asked.mean() < ENOUGH:
        return _unmoved(plate, neighbour, field)
    errors = {signs: _error(plate, neighbour, field.flow * np.array(signs, np.float32), asked) for signs in CANDIDATES}
    best = min(CANDIDATES, key=lambda signs: errors[signs])
    own, least, most = errors[1, 1], errors[best], max(errors.values())
    if _is_clearly(least, own):
        return Judgement("turned", best, (own, least))
    return Judgement("agrees" if _is_clearly(own, most) else "silent")


def _unmoved(plate: Samples, neighbour: Samples, field: Field) -> Judgement:
    """Vectors that say nothing moves, in another unit than pixels for example, held against optical flow."""
    flow = optical_flow(plate, neighbour)
    moves = field.known & (np.hypot(flow[..., 0], flow[..., 1]) > 2 * MOVES)
    if moves.mean() < STILL_ENOUGH:
        return Judgement("silent")
    own, least = (_error(plate, neighbour, each, moves) for each in (field.flow, flow))
    if not _is_clearly(least, own):
        return Judgement("silent")
    is_scaled = np.any(field.flow[moves] != 0, axis=1).mean() > 0.5
    return Judgement("scaled" if is_scaled else "still", (1, 1), (own, least))


def _error(plate: Samples, neighbour: Samples, flow: Samples, where: npt.NDArray[np.bool_]) -> float:
    return 255 * float(np.abs(plate - warped(neighbour, flow))[where].mean())


def _is_clearly(less: float, more: float) -> bool:
    return less < CLEARLY * more and more - less > 255 * VISIBLE
