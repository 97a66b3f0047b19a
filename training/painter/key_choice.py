"""The frames of a shot that are worth painting."""

from __future__ import annotations

from collections.abc import Mapping

from impasto.core.frame import Samples
from impasto.training.data.coverage import least_covered


def frames_to_paint(thumbs: Mapping[int, Samples], count: int) -> list[int]:
    """Numbers of at most `count` frames, ascending, from thumbnails of a shot by number.

    The first is the middle one; each further is the one that shows most that those before it do not.
    """
    numbers = sorted(thumbs)
    chosen = [numbers[len(numbers) // 2]]
    while len(chosen) < count:
        further = least_covered(thumbs, chosen)
        if further is None:
            break
        chosen.append(further)
    return sorted(chosen)
