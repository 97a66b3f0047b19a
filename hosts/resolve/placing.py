"""The painted frames back on the timeline: imported, named in their colours, laid above the clip."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import to_printf
from impasto.hosts.resolve.answers import frame, identity, insist, is_no, items_of, must, tracks_of
from impasto.hosts.resolve.selection import Piece
from impasto.hosts.resolve.timecode import advanced
from impasto.hosts.resolve.written import Written

if TYPE_CHECKING:
    from fusionscript import MarkerColor, MediaPool, MediaPoolClipInfo, MediaPoolItem, Project, Timeline, TimelineItem

BIN = TRACK = "Impasto"
MARKER: MarkerColor = "Lavender"
MARKER_TRIES = 25
"""A frame bears one marker; where there is one, the next frame takes ours."""
Say = Callable[[str], None]


def import_result(pool: MediaPool, result: Written) -> MediaPoolItem:
    """The sequence as one clip in a bin of our own. BridgeError where it is none."""
    do = f"import '{result.pattern}' by hand"
    root = must(pool.GetRootFolder(), "give the media pool's root", do)
    found = [each for each in root.GetSubFolderList() or [] if each.GetName() == BIN]
    ours = found[0] if found else must(pool.AddSubFolder(root, BIN), f"make the bin '{BIN}'", do)
    must(pool.SetCurrentFolder(ours), f"open the bin '{BIN}'", do)
    before = [each for each in ours.GetClipList() or [] if _is_made_of(each, result)]
    if before:
        return before[0]  # a run before this one imported it
    numbers = result.numbers
    items = must(
        pool.ImportMedia(
            [{"FilePath": to_printf(result.pattern), "StartIndex": numbers.first, "EndIndex": numbers.last}]
        ),
        "import the painted frames",
        do,
    )
    if len(items) != 1:
        pool.DeleteClips(items)
        raise BridgeError(
            f"expected one clip of {numbers.count} frames, Resolve made {len(items)}; turn 'Show Individual Frames' "
            "off in the media pool, then continue"
        )
    return items[0]


def _is_made_of(clip: MediaPoolItem, result: Written) -> bool:
    folder = os.path.dirname(result.pattern)
    return os.path.dirname(str(clip.GetClipProperty("File Path") or "")) == folder


def state_facts(clip: MediaPoolItem, properties: Mapping[str, str], say: Say) -> None:
    """Set properties of a clip and look whether they took; what did not is said, with what to set by hand."""
    for name, value in properties.items():
        done = clip.SetClipProperty(name, value)
        if is_no(done) or clip.GetClipProperty(name) != value:
            say(
                f"expected Resolve to take '{value}' as {name} of '{clip.GetName()}', it did not; set it in the "
                "clip's attributes"
            )


def source_timecode(timeline: Timeline, piece: Piece, rate: str) -> str:
    """The timecode of the first painted frame: of the clip's own source, or of the timeline for a stretch of it."""
    if piece.item is None:
        start = int(must(timeline.GetStartFrame(), "say where the timeline starts", "open it again"))
        begin = must(timeline.GetStartTimecode(), "say the timeline's first timecode", "open it again")
        return advanced(begin, piece.frames.first - start, rate)
    media = piece.item.GetMediaPoolItem()
    code = str(media.GetClipProperty("Start TC") or "") if media is not None else ""
    if not code:
        return ""
    inside = frame(piece.item.GetLeftOffset) + piece.frames.first - frame(piece.item.GetStart) - piece.left
    return advanced(code, inside, str(media.GetClipProperty("FPS") or rate))


def lay_above(project: Project, timeline: Timeline, clip: MediaPoolItem, piece: Piece) -> None:
    """Put the clip on a video track of ours above all others, frame on frame; nothing stays where that fails."""
    do = f"lay '{clip.GetName()}' above by hand; it is in the bin '{BIN}'"
    pool = must(project.GetMediaPool(), "give the media pool", do)
    must(project.SetCurrentTimeline(timeline), "open the timeline", do)
    before = tracks_of(timeline)
    if any(_is_laid(each, clip, piece) for each in items_of(timeline, before)):
        return  # by a run before this one, which did not live to note it
    track = before if _is_free(timeline, before, piece) else before + 1
    try:
        if track > before:
            # The stubs call for the kind of an audio track, which no video track has.
            add: Callable[..., bool] = timeline.AddTrack
            must(add("video"), "add a video track", do)
            timeline.SetTrackName("video", track, TRACK)
        _append(pool, timeline, clip, piece, track, do)
    except BridgeError:
        if track > before and tracks_of(timeline) > before and not items_of(timeline, track):
            insist(lambda: timeline.DeleteTrack("video", track))
        raise


def _is_laid(item: TimelineItem, clip: MediaPoolItem, piece: Piece) -> bool:
    media = item.GetMediaPoolItem()
    return media is not None and identity(media) == identity(clip) and frame(item.GetStart) == piece.frames.first


def _is_free(timeline: Timeline, track: int, piece: Piece) -> bool:
    """Whether the topmost track is ours and has room for the piece."""
    if timeline.GetTrackName("video", track) != TRACK:
        return False
    items = items_of(timeline, track)
    return all(frame(each.GetEnd) <= piece.frames.first or frame(each.GetStart) > piece.frames.last for each in items)


def _append(pool: MediaPool, timeline: Timeline, clip: MediaPoolItem, piece: Piece, track: int, do: str) -> None:
    count, seen = piece.frames.count, ""
    # As for handles: the end is the frame behind the last in newer versions, the last one in older ones.
    for end in (piece.left + count, piece.left + count - 1):
        what: MediaPoolClipInfo = {
            "mediaPoolItem": clip,
            "startFrame": piece.left,
            "endFrame": end,
            "mediaType": 1,
            "trackIndex": track,
            "recordFrame": piece.frames.first,
        }
        # The stubs forget to mark the first of three ways to call it as one of several.
        append: Callable[..., list[TimelineItem]] = pool.AppendToTimeline
        item = must(append([what]), f"lay the painted clip on track {track}", do)[0]
        try:
            start, length = frame(item.GetStart), frame(item.GetDuration)
        except BridgeError:
            insist(partial(timeline.DeleteClips, [item], False))
            raise
        if (start, length) == (piece.frames.first, count):
            return
        seen = f"{length} frames at {start}"
        insist(partial(timeline.DeleteClips, [item], False))
    raise BridgeError(f"expected {count} frames at {piece.frames.first}, Resolve laid {seen}; {do}")


def mark(timeline: Timeline, piece: Piece, note: str, facts: Mapping[str, Any], say: Say) -> None:
    """A marker with what was done, at the first frame of the piece that has none."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    start = timeline.GetStartFrame()
    if not is_no(start):  # the clip is in place, so that a No is worth a note and no more
        at = piece.frames.first - int(start)
        for offset in range(min(MARKER_TRIES, piece.frames.count)):
            if not is_no(timeline.AddMarker(at + offset, MARKER, "Impasto", note, 1, text)):
                return
    say(f"expected Resolve to take a marker at '{piece.name}', it did not; the clip is in place without one")


def forget(pool: MediaPool, clip: MediaPoolItem) -> None:
    """Take an imported clip out of the media pool again; the files stay."""
    insist(lambda: pool.DeleteClips([clip]))
