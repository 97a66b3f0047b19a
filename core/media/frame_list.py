"""Lists of frames as Nuke and OpenJD write them: `1-10`, `1,3,5`, `1-19x2`, `1-19:2`, and several of them."""

from __future__ import annotations

import re

from impasto.core.errors import UsageError
from impasto.core.media.shot import FrameRange

MOST_FRAMES = 100_000
"""Frames of a list that has steps or gaps; a plain range may be of any length."""

_ITEM = re.compile(r"(?P<first>-?\d+)(?:-(?P<last>-?\d+)(?:[xX:](?P<step>\d+))?)?", re.ASCII)


def parse_frame_list(text: str) -> tuple[FrameRange, ...]:
    """The frames as ranges without a gap, ascending and apart from each other; frames named twice are there once.

    UsageError for what is no list, for a range that runs backwards, and for too many frames.
    """
    ranges: list[FrameRange] = []
    for item in filter(None, re.split(r"[,\s]+", text.strip())):
        found = _ITEM.fullmatch(item)
        if found is None or (found["step"] is not None and not int(found["step"])):
            raise UsageError(f"expected frames as A-B, A-BxN or A,B,C, got '{text}'; give for example 1001-1100")
        first = int(found["first"])
        last, step = int(found["last"] or first), int(found["step"] or 1)
        if last < first:
            raise UsageError(f"expected the first frame before the last, got '{item}'; write {last}-{first}")
        if step == 1:
            ranges.append(FrameRange(first, last))
            continue
        if (last - first) // step + 1 + len(ranges) > MOST_FRAMES:
            raise UsageError(f"expected at most {MOST_FRAMES} frames in a list, got '{text}'; render it in parts")
        ranges.extend(FrameRange(number, number) for number in range(first, last + 1, step))
    if not ranges:
        raise UsageError(f"expected frames as A-B, A-BxN or A,B,C, got '{text}'; give for example 1001-1100")
    return _joined(ranges)


def _joined(ranges: list[FrameRange]) -> tuple[FrameRange, ...]:
    joined: list[FrameRange] = []
    for each in sorted(ranges, key=lambda each: each.first):
        if joined and each.first <= joined[-1].last + 1:
            joined[-1] = FrameRange(joined[-1].first, max(joined[-1].last, each.last))
        else:
            joined.append(each)
    return tuple(joined)
