"""Puts the painted frames on the timeline: imports them, sets their colour space, places them above the clip."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import to_printf
from impasto.hosts.resolve.api_checks import frame, is_no, items_of, must, tracks_of, try_twice, unique_id
from impasto.hosts.resolve.rendered_files import ImageSequence
from impasto.hosts.resolve.request import TRACK
from impasto.hosts.resolve.selection import Piece
from impasto.hosts.resolve.timecode import advanced, same_rate

if TYPE_CHECKING:
    from fusionscript import MarkerColor, MediaPool, MediaPoolClipInfo, MediaPoolItem, Project, Timeline, TimelineItem

BIN = "Impasto"
FPS = "FPS"
MARKER: MarkerColor = "Lavender"
MARKER_TRIES = 25
"""A frame holds one marker; where there is one, the next frame is tried."""
Say = Callable[[str], None]


def import_result(pool: MediaPool, result: ImageSequence) -> MediaPoolItem:
    """Import the sequence as one clip into our own bin. BridgeError where Resolve makes another number of clips."""
    do = f"import '{result.pattern}' by hand"
    root = must(pool.GetRootFolder(), "give the media pool's root", do)
    found = [each for each in root.GetSubFolderList() or [] if each.GetName() == BIN]
    ours = found[0] if found else must(pool.AddSubFolder(root, BIN), f"make the bin '{BIN}'", do)
    must(pool.SetCurrentFolder(ours), f"open the bin '{BIN}'", do)
    before = [each for each in ours.GetClipList() or [] if _is_made_of(each, result)]
    if before:
        return before[0]  # an earlier run imported it
    numbers = result.numbers
    items = must(
        pool.ImportMedia(
            [{"FilePath": to_printf(result.pattern), "StartIndex": numbers.first, "EndIndex": numbers.last}]
        ),
        "import the painted frames",
        do,
    )
    if len(items) != 1:
        pool.DeleteClips([each for each in items if _is_made_of(each, result)])
        raise BridgeError(
            f"expected one clip of {numbers.count} frames, Resolve made {len(items)}; turn 'Show Individual Frames' "
            "off in the media pool, then continue"
        )
    return items[0]


def _is_made_of(clip: MediaPoolItem, result: ImageSequence) -> bool:
    found = os.path.dirname(str(clip.GetClipProperty("File Path") or ""))
    return os.path.normcase(os.path.normpath(found)) == os.path.normcase(os.path.dirname(result.pattern))


def set_properties(clip: MediaPoolItem, properties: Mapping[str, str], say: Say) -> None:
    """Set properties of a clip and check them. A failure is reported, with what to set by hand."""
    for name, value in properties.items():
        done, taken = clip.SetClipProperty(name, value), str(clip.GetClipProperty(name))
        if is_no(done) or not (same_rate(taken, value) if name == FPS else taken == value):
            say(
                f"expected Resolve to take '{value}' as {name} of '{clip.GetName()}', it did not; set it in the "
                "clip's attributes"
            )


def clip_properties(clip: MediaPoolItem, timecode: str, rate: str) -> dict[str, str]:
    """Properties of the painted clip besides its colours: the timeline's rate, and the timecode."""
    facts = {}
    if not same_rate(str(clip.GetClipProperty(FPS) or rate), rate):
        facts[FPS] = rate.split()[0]
    if timecode and clip.GetClipProperty("Start TC") != timecode:
        facts["Start TC"] = timecode
    return facts


def source_timecode(timeline: Timeline, piece: Piece, rate: str) -> str:
    """The timecode of the first painted frame: the clip's own, or for a stretch of the timeline the timeline's."""
    if piece.item is None:
        start = int(must(timeline.GetStartFrame(), "say where the timeline starts", "open it again"))
        begin = must(timeline.GetStartTimecode(), "say the timeline's first timecode", "open it again")
        return advanced(begin, piece.frames.first - start, rate)
    media = piece.item.GetMediaPoolItem()
    code = str(media.GetClipProperty("Start TC") or "") if media is not None else ""
    if not code:
        return ""
    inside = frame(piece.item.GetLeftOffset) + piece.frames.first - frame(piece.item.GetStart) - piece.left
    return advanced(code, inside, str(media.GetClipProperty(FPS) or rate))


def place_above(project: Project, timeline: Timeline, clip: MediaPoolItem, piece: Piece) -> None:
    """Place the clip on our own video track above all others, frame on frame. Where that fails, nothing stays."""
    do = f"lay '{clip.GetName()}' above by hand; it is in the bin '{BIN}'"
    pool = must(project.GetMediaPool(), "give the media pool", do)
    must(project.SetCurrentTimeline(timeline), "open the timeline", do)
    before = tracks_of(timeline)
    item = _placed_item(timeline, ClipPlacement(clip, piece.left, piece.frames.count, before, piece.frames.first))
    if item is not None and frame(item.GetDuration) == piece.frames.count:
        return  # an earlier run placed it and was killed before it stored that
    track = before if _is_free(timeline, before, piece) else before + 1
    try:
        if track > before:
            # The stubs call for the type of an audio track, which a video track does not have.
            add: Callable[..., bool] = timeline.AddTrack
            must(add("video"), "add a video track", do)
            timeline.SetTrackName("video", track, TRACK)
        append_clip(pool, timeline, ClipPlacement(clip, piece.left, piece.frames.count, track, piece.frames.first), do)
    except BridgeError:
        if track > before and tracks_of(timeline) > before and not items_of(timeline, track):
            try_twice(lambda: timeline.DeleteTrack("video", track))
        raise


def _is_free(timeline: Timeline, track: int, piece: Piece) -> bool:
    """Whether the topmost track is ours and has room for the piece."""
    if timeline.GetTrackName("video", track) != TRACK:
        return False
    items = items_of(timeline, track)
    return all(frame(each.GetEnd) <= piece.frames.first or frame(each.GetStart) > piece.frames.last for each in items)


@dataclass(frozen=True)
class ClipPlacement:
    """Frames of a clip of the media pool, and where on a timeline they go."""

    clip: MediaPoolItem
    first: int
    count: int
    track: int
    at: int
    more: bool = False
    """Whether one more frame at the end is allowed."""


def append_clip(pool: MediaPool, timeline: Timeline, placement: ClipPlacement, do: str) -> TimelineItem:
    """Append a clip to the open timeline, where there is room. Otherwise BridgeError, and nothing stays.

    Resolve's answer is no proof, so the track is read afterwards.
    """
    seen = "nothing"
    # Since version 19 the end is the frame after the last, before that the last. There a frame too many may be refused.
    for end in (placement.first + placement.count, placement.first + placement.count - 1):
        what: MediaPoolClipInfo = {
            "mediaPoolItem": placement.clip,
            "startFrame": placement.first,
            "endFrame": end,
            "mediaType": 1,
            "trackIndex": placement.track,
            "recordFrame": placement.at,
        }
        # The stubs leave the first of three overloads unmarked.
        append: Callable[..., list[TimelineItem]] = pool.AppendToTimeline
        answer = append([what])
        try:
            item = _placed_item(timeline, placement)
            length = frame(item.GetDuration) if item is not None else 0
        except BridgeError:
            _remove(timeline, answer)
            raise
        if item is not None and (length == placement.count or (placement.more and length > placement.count)):
            return item
        seen = f"{length} frames" if item is not None else "nothing there"
        _remove(timeline, answer)
    raise BridgeError(f"expected {placement.count} frames at {placement.at}, Resolve laid {seen}; {do}")


def _remove(timeline: Timeline, items: list[TimelineItem]) -> None:
    if not is_no(items):
        try_twice(lambda: timeline.DeleteClips(items, False))


def _placed_item(timeline: Timeline, placement: ClipPlacement) -> TimelineItem | None:
    """The item of a track that begins where the placement begins, and is made of its clip."""
    for item in items_of(timeline, placement.track):
        media = item.GetMediaPoolItem()
        if media is not None and unique_id(media) == unique_id(placement.clip) and frame(item.GetStart) == placement.at:
            return item
    return None


def add_marker(timeline: Timeline, piece: Piece, note: str, facts: Mapping[str, Any], say: Say) -> None:
    """Add a marker with the facts of the job, at the first frame of the piece that has none."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    start = timeline.GetStartFrame()
    if not is_no(start):  # the clip is in place, so a refusal is a note and no error
        at = piece.frames.first - int(start)
        for offset in range(min(MARKER_TRIES, piece.frames.count)):
            if not is_no(timeline.AddMarker(at + offset, MARKER, "Impasto", note, 1, text)):
                return
    say(f"expected Resolve to take a marker at '{piece.name}', it did not; the clip is in place without one")
