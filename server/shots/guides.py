"""Guide layers of a shot: pictures beside the plates, numbered like them, for styles that see more than colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from impasto.core.card import Card
from impasto.core.errors import UsageError
from impasto.core.media import ShotInfo
from impasto.core.media.guide_files import GuideFiles, find_guides
from impasto.server.shots.job import InputFrame
from impasto.server.shots.mattes import refuse_as_output


def require_guides(paths: Sequence[str], card: Card, info: ShotInfo, output: str) -> tuple[GuideFiles, ...]:
    """The guide pictures at these paths, checked before the first frame is painted.

    Raises UsageError for a style that sees no guides, OutputExists where a result would replace them,
    InconsistentShot where a frame has none, and what `find_guides` and reading the first of them raise. The
    engine checks that all channels are there, since the plate may hold some.
    """
    if paths and not card.guides:
        raise UsageError(f"expected a style that was trained with guides, '{card.name}' was not; leave out --guides")
    found = []
    for path in paths:
        refuse_as_output(path, output, "guide layer")
        files = find_guides(path)
        if info.frame_count is not None:
            files.require(info.first, info.first + info.frame_count - 1)
        files.parts_of(info.first)
        found.append(files)
    return tuple(found)


def with_guides(plates: Iterator[InputFrame], files: Sequence[GuideFiles]) -> Iterator[InputFrame]:
    """The plates, each frame with the parts of its guide pictures."""
    for plate in plates:
        parts = tuple(part for each in files for part in each.parts_of(plate.frame.number))
        yield replace(plate, frame=replace(plate.frame, guides=parts)) if parts else plate
