"""The painted frames back on the timeline: imported, named in their colours, laid above the clip."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import to_printf
from impasto.hosts.resolve.api_checks import frame, identity, insist, is_no, items_of, must, tracks_of
from impasto.hosts.resolve.rendered_files import Written
from impasto.hosts.resolve.request import TRACK
from impasto.hosts.resolve.selection import Piece
from impasto.hosts.resolve.timecode import advanced, same_rate

if TYPE_CHECKING:
    from fusionscript import MarkerColor, MediaPool, MediaPoolClipInfo, MediaPoolItem, Project, Timeline, TimelineItem

BIN = "Impasto"
FPS = "FPS"
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
        pool.DeleteClips([each for each in items if _is_made_of(each, result)])
        raise BridgeError(
            f"expected one clip of {numbers.count} frames, Resolve made {len(items)}; turn 'Show Individual Frames' "
            "off in the media pool, then continue"
        )
    return items[0]


def _is_made_of(clip: MediaPoolItem, result: Written) -> bool:
    found = os.path.dirname(str(clip.GetClipProperty("File Path") or ""))
    return os.path.normcase(os.path.normpath(found)) == os.path.normcase(os.path.dirname(result.pattern))


def state_facts(clip: MediaPoolItem, properties: Mapping[str, str], say: Say) -> None:
    """Set properties of a clip and look whether they took; what did not is said, with what to set by hand."""
    for name, value in properties.items():
        done, taken = clip.SetClipProperty(name, value), str(clip.GetClipProperty(name))
        if is_no(done) or not (same_rate(taken, value) if name == FPS else taken == value):
            say(
                f"expected Resolve to take '{value}' as {name} of '{clip.GetName()}', it did not; set it in the "
                "clip's attributes"
            )


def clip_facts(clip: MediaPoolItem, timecode: str, rate: str) -> dict[str, str]:
    """What is to be set of the painted clip besides its colours: the timeline's rate, and the timecode in it."""
    facts = {}
    if not same_rate(str(clip.GetClipProperty(FPS) or rate), rate):
        facts[FPS] = rate.split()[0]
    if timecode and clip.GetClipProperty("Start TC") != timecode:
        facts["Start TC"] = timecode
    return facts


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
    return advanced(code, inside, str(media.GetClipProperty(FPS) or rate))


def lay_above(project: Project, timeline: Timeline, clip: MediaPoolItem, piece: Piece) -> None:
    """Put the clip on a video track of ours above all others, frame on frame; nothing stays where that fails."""
    do = f"lay '{clip.GetName()}' above by hand; it is in the bin '{BIN}'"
    pool = must(project.GetMediaPool(), "give the media pool", do)
    must(project.SetCurrentTimeline(timeline), "open the timeline", do)
    before = tracks_of(timeline)
    item = _laid(timeline, Stretch(clip, piece.left, piece.frames.count, before, piece.frames.first))
    if item is not None and frame(item.GetDuration) == piece.frames.count:
        return  # by a run before this one, which did not live to note it
    track = before if _is_free(timeline, before, piece) else before + 1
    try:
        if track > before:
            # The stubs call for the kind of an audio track, which no video track has.
            add: Callable[..., bool] = timeline.AddTrack
            must(add("video"), "add a video track", do)
            timeline.SetTrackName("video", track, TRACK)
        lay(pool, timeline, Stretch(clip, piece.left, piece.frames.count, track, piece.frames.first), do)
    except BridgeError:
        if track > before and tracks_of(timeline) > before and not items_of(timeline, track):
            insist(lambda: timeline.DeleteTrack("video", track))
        raise


def _is_free(timeline: Timeline, track: int, piece: Piece) -> bool:
    """Whether the topmost track is ours and has room for the piece."""
    if timeline.GetTrackName("video", track) != TRACK:
        return False
    items = items_of(timeline, track)
    return all(frame(each.GetEnd) <= piece.frames.first or frame(each.GetStart) > piece.frames.last for each in items)


@dataclass(frozen=True)
class Stretch:
    """Frames of a clip of the pool, and where on a timeline they go."""

    clip: MediaPoolItem
    first: int
    count: int
    track: int
    at: int
    more: bool = False
    """Whether a frame more at the end does no harm."""


def lay(pool: MediaPool, timeline: Timeline, stretch: Stretch, do: str) -> TimelineItem:
    """Lay a stretch on the timeline that is open, where there is room. BridgeError, and nothing stays, else.

    What Resolve answers is no proof that something was laid: the track is looked at.
    """
    seen = "nothing"
    # The end is the frame behind the last since version 19, the last one before. There a frame too many may be refused.
    for end in (stretch.first + stretch.count, stretch.first + stretch.count - 1):
        what: MediaPoolClipInfo = {
            "mediaPoolItem": stretch.clip,
            "startFrame": stretch.first,
            "endFrame": end,
            "mediaType": 1,
            "trackIndex": stretch.track,
            "recordFrame": stretch.at,
        }
        # The stubs forget to mark the first of three ways to call it as one of several.
        append: Callable[..., list[TimelineItem]] = pool.AppendToTimeline
        answer = append([what])
        try:
            item = _laid(timeline, stretch)
            length = frame(item.GetDuration) if item is not None else 0
        except BridgeError:
            _take_away(timeline, answer)
            raise
        if item is not None and (length == stretch.count or (stretch.more and length > stretch.count)):
            return item
        seen = f"{length} frames" if item is not None else "nothing there"
        _take_away(timeline, answer)
    raise BridgeError(f"expected {stretch.count} frames at {stretch.at}, Resolve laid {seen}; {do}")


def _take_away(timeline: Timeline, laid: list[TimelineItem]) -> None:
    if not is_no(laid):
        insist(lambda: timeline.DeleteClips(laid, False))


def _laid(timeline: Timeline, stretch: Stretch) -> TimelineItem | None:
    """The item of a track that begins where a stretch is to begin, and is made of its clip."""
    for item in items_of(timeline, stretch.track):
        media = item.GetMediaPoolItem()
        if media is not None and identity(media) == identity(stretch.clip) and frame(item.GetStart) == stretch.at:
            return item
    return None


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
