"""Which frames of the timeline are meant: the clip under the playhead, clips between the marks, or everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.ranges import FrameRange
from impasto.hosts.resolve.answers import frame, items_of, must, offered, tracks_of
from impasto.hosts.resolve.request import Request

if TYPE_CHECKING:
    from fusionscript import Timeline, TimelineItem


@dataclass(frozen=True)
class Piece:
    """One stretch of the timeline that is rendered, painted and placed by itself."""

    name: str
    frames: FrameRange
    """Frames of the timeline, counted as its timecode does, both ends included."""
    item: TimelineItem | None = None
    """The clip it is, None for a stretch with all its clips."""
    left: int = 0
    """Handles: frames that are rendered before the first."""
    right: int = 0


def pieces_of(timeline: Timeline, request: Request) -> list[Piece]:
    """What the request means on this timeline, in order. BridgeError where it means nothing."""
    if request.scope == "timeline":
        return [_whole(timeline)]
    if request.scope == "clip":
        item = must(timeline.GetCurrentVideoItem(), "show a clip under the playhead", "move the playhead onto a clip")
        pieces = [Piece(item.GetName(), _extent(item), item)]
    else:
        pieces = _between_marks(timeline, request.track)
    return [_with_handles(each, request.handles) for each in pieces]


def _extent(item: TimelineItem) -> FrameRange:
    # The end that Resolve says is the first frame behind the clip.
    return FrameRange(frame(item.GetStart), frame(item.GetEnd) - 1)


def _whole(timeline: Timeline) -> Piece:
    """From the first clip to the last. The timeline's own end is counted differently by version; clips are not."""
    extents = []
    for track in range(1, tracks_of(timeline) + 1):
        extents += [_extent(item) for item in items_of(timeline, track)]
    if not extents:
        raise BridgeError(f"expected clips on the video tracks of '{timeline.GetName()}', found none; lay one there")
    first, last = min(each.first for each in extents), max(each.last for each in extents)
    return Piece(timeline.GetName(), FrameRange(first, last))


def _between_marks(timeline: Timeline, track: int) -> list[Piece]:
    do = "set them on the timeline with I and O"
    if not offered(timeline.GetMarkInOut):
        raise BridgeError(
            "expected in and out marks, this version of Resolve does not tell them (19.1 does); choose clip"
        )
    marks: Mapping[str, Any] = timeline.GetMarkInOut() or {}
    video: Any = must(marks.get("video") or marks.get("audio"), "know in and out marks", do)
    if "in" not in video or "out" not in video:
        raise BridgeError(f"expected an in mark and an out mark, one is missing; {do}")
    start = int(must(timeline.GetStartFrame(), "say where the timeline starts", "open the timeline again"))
    wanted = FrameRange(start + int(video["in"]), start + int(video["out"]))
    number = track or _track_of(timeline.GetCurrentVideoItem())
    pieces = []
    for item in items_of(timeline, number):
        extent = _extent(item)
        first, last = max(extent.first, wanted.first), min(extent.last, wanted.last)
        if first <= last:
            pieces.append(Piece(item.GetName(), FrameRange(first, last), item))
    if not pieces:
        raise BridgeError(
            f"expected clips between the marks on video track {number}, found none; move the marks, or name another "
            "track with --track"
        )
    return sorted(pieces, key=lambda piece: piece.frames.first)


def _track_of(item: TimelineItem | None) -> int:
    if item is None or not offered(item.GetTrackTypeAndIndex):
        return 1
    return int(must(item.GetTrackTypeAndIndex(), "say which track a clip is on", "name it with --track")[1])


def _with_handles(piece: Piece, handles: int) -> Piece:
    """Handles as far as the media goes, and where the piece ends inside of the clip, the clip itself."""
    if not handles or piece.item is None:
        return piece
    item, extent = piece.item, _extent(piece.item)
    if must(item.GetFusionCompCount(), "count the Fusion compositions of a clip", "ask for 0 handles"):
        raise BridgeError(
            f"expected a clip without a Fusion composition for handles, '{piece.name}' has one, which would be lost; "
            "ask for 0 handles"
        )
    left = frame(item.GetLeftOffset) + piece.frames.first - extent.first
    right = frame(item.GetRightOffset) + extent.last - piece.frames.last
    return Piece(piece.name, piece.frames, item, min(handles, left), min(handles, right))
