"""The frames of the timeline that a request means: the clip under the playhead, clips between the marks, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameSpan
from impasto.hosts.resolve.api_checks import frame, has_method, items_of, must, track_enabled, tracks_of
from impasto.hosts.resolve.request import TRACK, Request

if TYPE_CHECKING:
    from fusionscript import Timeline, TimelineItem

SLACK = 2
"""Frames by which Resolve's source range may be off: by version its end is the last frame or the one after."""


@dataclass(frozen=True)
class Piece:
    """A stretch of the timeline that is rendered, painted and placed on its own."""

    name: str
    frames: FrameSpan
    """Frames of the timeline, counted like its timecode, both ends included."""
    item: TimelineItem | None = None
    """The clip, None for a stretch with all its clips."""
    left: int = 0
    """Handles: frames that are rendered before the first."""
    right: int = 0


def pieces_of(timeline: Timeline, request: Request) -> list[Piece]:
    """What the request means on this timeline, in order. BridgeError where it means nothing."""
    if request.scope == "timeline":
        return [_whole(timeline)]
    if request.scope == "clip":
        item = must(timeline.GetCurrentVideoItem(), "show a clip under the playhead", "move the playhead onto a clip")
        pieces = [Piece(item.GetName(), extent(item), item)]
    else:
        pieces = _between_marks(timeline, request.track)
    return [_with_handles(each, request.handles) for each in pieces]


def extent(item: TimelineItem) -> FrameSpan:
    """The frames of a clip on the timeline."""
    # Resolve's end is the first frame after the clip.
    return FrameSpan(frame(item.GetStart), frame(item.GetEnd) - 1)


def _whole(timeline: Timeline) -> Piece:
    """From the first clip to the last. The end of the timeline itself is counted differently by version."""
    extents = []
    for track in range(1, tracks_of(timeline) + 1):
        extents += [extent(item) for item in items_of(timeline, track)]
    if not extents:
        raise BridgeError(f"expected clips on the video tracks of '{timeline.GetName()}', found none; lay one there")
    first, last = min(each.first for each in extents), max(each.last for each in extents)
    return Piece(timeline.GetName(), FrameSpan(first, last))


def _between_marks(timeline: Timeline, track: int) -> list[Piece]:
    do = "set them on the timeline with I and O"
    if not has_method(timeline.GetMarkInOut):
        raise BridgeError(
            "expected in and out marks, this version of Resolve does not tell them (19.1 does); choose clip"
        )
    marks: Mapping[str, Any] = timeline.GetMarkInOut() or {}
    video: Any = must(marks.get("video") or marks.get("audio"), "know in and out marks", do)
    if "in" not in video or "out" not in video:
        raise BridgeError(f"expected an in mark and an out mark, one is missing; {do}")
    start = int(must(timeline.GetStartFrame(), "say where the timeline starts", "open the timeline again"))
    wanted = FrameSpan(start + int(video["in"]), start + int(video["out"]))
    number = track or _track_of(timeline.GetCurrentVideoItem())
    pieces = []
    items = items_of(timeline, number)
    for item in items:
        if _is_transition(item, items):
            continue
        lies = extent(item)
        first, last = max(lies.first, wanted.first), min(lies.last, wanted.last)
        if first <= last:
            pieces.append(Piece(item.GetName(), FrameSpan(first, last), item))
    if not pieces:
        raise BridgeError(
            f"expected clips between the marks on video track {number}, found none; move the marks, or name another "
            "track with --track"
        )
    return sorted(pieces, key=lambda piece: piece.frames.first)


def _is_transition(item: TimelineItem, items: list[TimelineItem]) -> bool:
    """Whether an item is a transition: newer versions list them too, and they lie over clips."""
    if item.GetMediaPoolItem() is not None:
        return False
    own = extent(item)
    others = (extent(each) for each in items if each.GetUniqueId() != item.GetUniqueId())
    return any(own.overlaps(other) for other in others)


def _track_of(item: TimelineItem | None) -> int:
    if item is None or not has_method(item.GetTrackTypeAndIndex):
        return 1
    return int(must(item.GetTrackTypeAndIndex(), "say which track a clip is on", "name it with --track")[1])


def above(timeline: Timeline, piece: Piece) -> list[str]:
    """Names of the visible items over a clip, on tracks that are not our own."""
    names: list[str] = []
    over = False
    for track in range(1, tracks_of(timeline) + 1):
        items = items_of(timeline, track)
        if over and track_enabled(timeline, track) and timeline.GetTrackName("video", track) != TRACK:
            met = (each for each in items if extent(each).overlaps(piece.frames))
            names += [str(each.GetName()) for each in met]
        over = over or (piece.item is not None and piece.item.GetUniqueId() in {each.GetUniqueId() for each in items})
    return names


def _with_handles(piece: Piece, handles: int) -> Piece:
    """The piece with handles, as far as the media reaches. BridgeError for a clip that handles would change."""
    if not handles or piece.item is None:
        return piece
    item, lies = piece.item, extent(piece.item)
    do, what = "ask for 0 handles", f"say which frames of its media '{piece.name}' shows"
    if must(item.GetFusionCompCount(), "count the Fusion compositions of a clip", do):
        raise BridgeError(
            f"expected a clip without a Fusion composition for handles, '{piece.name}' has one, which would be lost; "
            f"{do}"
        )
    if has_method(item.GetSourceStartFrame):
        length = must(item.GetSourceEndFrame(), what, do) - must(item.GetSourceStartFrame(), what, do)
        if abs(length - lies.count) > SLACK:
            raise BridgeError(
                f"expected a clip at its own speed and the timeline's frame rate for handles, '{piece.name}' shows "
                f"{length} frames of its media in {lies.count}; {do}"
            )
    left = frame(item.GetLeftOffset) + piece.frames.first - lies.first
    right = frame(item.GetRightOffset) + lies.last - piece.frames.last
    return Piece(piece.name, piece.frames, item, min(handles, left), min(handles, right))
