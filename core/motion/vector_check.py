"""Check of motion vectors against the plates: signs and directions differ among renderers, and no file states them.

A plate's neighbour, fetched along the vectors, must look like the plate. The check compares the vectors as they are
read with the same vectors with x, y or both negated. Optical flow is used only where the vectors say that nothing
moves, because on large moves and flat surfaces vectors are right where flow is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from impasto.core.frame import Samples
from impasto.core.motion.vectors import Field
from impasto.core.optical_flow import optical_flow, warped

Signs = tuple[Literal[1, -1], Literal[1, -1]]
CANDIDATES: tuple[Signs, ...] = ((1, 1), (-1, 1), (1, -1), (-1, -1))
MOVES = 1.0
"""Length, in pixels of the small picture, from which a vector's sign can be tested."""
CLEARLY = 0.75
"""An error is clearly less than another below this fraction of it."""
VISIBLE = 1 / 255
"""Errors that differ by less are alike."""
ENOUGH = 0.002
"""Share of the picture that has to move for a check."""
STILL_ENOUGH = 0.05
"""Share of the picture that moves by optical flow, from which vectors without motion are wrong."""


@dataclass(frozen=True, slots=True)
class VectorCheck:
    """The result of a check of vectors between two plates.

    `errors` are the mean differences, in 1/255, of the plate from its neighbour fetched by the vectors as they are,
    and by the vectors with `signs` applied. 'still': the vectors are 0 where much moves, as where a renderer does not
    know of a motion. 'scaled': they are not 0 there but far too short. For these two the second error is that of
    optical flow. 'silent': too little moves, or every sign fits equally well.
    """

    verdict: Literal["agrees", "turned", "still", "scaled", "silent"]
    signs: Signs = (1, 1)
    errors: tuple[float, float] = (0.0, 0.0)


def check_vectors(plate: Samples, neighbour: Samples, field: Field) -> VectorCheck:
    """Check the vectors from a plate to its neighbour against the two pictures, all (h, w, …) of one size."""
    height, width = field.known.shape
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    reach_x, reach_y = np.abs(field.flow[..., 0]), np.abs(field.flow[..., 1])
    # Only where every candidate stays inside, so that the picture's edge favours none.
    tested = field.known & (np.hypot(reach_x, reach_y) > MOVES)
    tested &= (x >= reach_x) & (x + reach_x <= width - 1) & (y >= reach_y) & (y + reach_y <= height - 1)
    if tested.mean() < ENOUGH:
        return _unmoved(plate, neighbour, field)
    errors = {signs: _error(plate, neighbour, field.flow * np.array(signs, np.float32), tested) for signs in CANDIDATES}
    best = min(CANDIDATES, key=lambda signs: errors[signs])
    own, least, most = errors[1, 1], errors[best], max(errors.values())
    if _is_clearly(least, own):
        return VectorCheck("turned", best, (own, least))
    return VectorCheck("agrees" if _is_clearly(own, most) else "silent")


def _unmoved(plate: Samples, neighbour: Samples, field: Field) -> VectorCheck:
    """Check vectors without motion, for example in another unit than pixels, against optical flow."""
    flow = optical_flow(plate, neighbour)
    moves = field.known & (np.hypot(flow[..., 0], flow[..., 1]) > 2 * MOVES)
    if moves.mean() < STILL_ENOUGH:
        return VectorCheck("silent")
    own, least = (_error(plate, neighbour, each, moves) for each in (field.flow, flow))
    if not _is_clearly(least, own):
        return VectorCheck("silent")
    is_scaled = np.any(field.flow[moves] != 0, axis=1).mean() > 0.5
    return VectorCheck("scaled" if is_scaled else "still", (1, 1), (own, least))


def _error(plate: Samples, neighbour: Samples, flow: Samples, where: npt.NDArray[np.bool_]) -> float:
    return 255 * float(np.abs(plate - warped(neighbour, flow))[where].mean())


def _is_clearly(less: float, more: float) -> bool:
    return less < CLEARLY * more and more - less > 255 * VISIBLE
