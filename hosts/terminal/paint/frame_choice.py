"""Which frames of the given plates are painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impasto.core.errors import UsageError

if TYPE_CHECKING:
    from impasto.training.data.shots import NumberedFrames


def asked_frames(text: str, shot: NumberedFrames) -> list[int]:
    """The frames of a list, ascending; UsageError for one that the shot does not have."""
    from impasto.core.media.frame_list import parse_frame_list

    ranges = parse_frame_list(text)
    chosen = [number for number in shot.numbers if any(number in each for each in ranges)]
    missing = next((each for each in ranges if not {each.first, each.last} <= set(shot.numbers)), None)
    if missing is not None:
        raise UsageError(f"expected some of {shot.in_words()}, got {missing.first}-{missing.last}; ask for others")
    return chosen


def chosen_of(shots: Sequence[NumberedFrames], count: int, input_space: str | None) -> dict[int, list[int]]:
    """{index of the shot: frames}: every still, and of each shot as many frames as show most of it."""
    from impasto.training.painter.shot import chosen_frames

    return {
        index: list(shot.numbers) if len(shot.numbers) <= count else chosen_frames(shot, count, input_space)
        for index, shot in enumerate(shots)
    }
