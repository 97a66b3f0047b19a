"""Resolve says No by answering False, None or nothing at all; here every No becomes a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar

from impasto.hosts.bridge.errors import BridgeError

if TYPE_CHECKING:
    from fusionscript import Project, Timeline, TimelineItem

Answer = TypeVar("Answer")


def must(answer: Answer, what: str, do: str) -> Answer:
    """The answer, unless it is a No: BridgeError with what was expected of Resolve and what to do."""
    if is_no(answer):
        raise BridgeError(f"expected Resolve to {what}, it answered {answer!r}; {do}")
    return answer


def is_no(answer: object) -> bool:
    """Whether an answer is one of Resolve's ways to say No. 0 is a number."""
    return answer is None or answer is False or (isinstance(answer, (str, list, tuple, dict)) and not answer)


def insist(call: Callable[[], object]) -> bool:
    """Ask again once where the answer is No, for what has to be tidied up; whether it was done."""
    return not is_no(call()) or not is_no(call())


def offered(method: Callable[..., Any]) -> bool:
    """Whether this version of Resolve has a method. Names that it does not know are None on its objects."""
    unknown: Any = method
    return unknown is not None


def identity(owner: Any) -> str:
    """By which a project, a timeline or a clip is known again."""
    return str(must(owner.GetUniqueId(), f"say the id of '{owner.GetName()}'", "try again"))


def tracks_of(timeline: Timeline) -> int:
    """How many video tracks there are; a No must never be taken for none."""
    return int(must(timeline.GetTrackCount("video"), "count the video tracks", "open the timeline again"))


def items_of(timeline: Timeline, track: int) -> list[TimelineItem]:
    """The clips of a video track. An empty list is a track without clips, anything else without clips a No."""
    items: Any = timeline.GetItemListInTrack("video", track)
    if items is None or items is False:
        must(items, f"list the clips of video track {track}", "open the timeline again")
    return list(items)


def setting(project: Project, timeline: Timeline, key: str) -> object:
    """A setting where it is made: timelines may have their own, and others answer nothing."""
    return timeline.GetSetting(key) or project.GetSetting(key)


def named_tracks(timeline: Timeline, name: str) -> list[int]:
    """The video tracks of that name, from below."""
    return [track for track in range(1, tracks_of(timeline) + 1) if timeline.GetTrackName("video", track) == name]


def shown(timeline: Timeline, track: int) -> bool:
    """Whether a video track is seen, which it is where that cannot be asked. False is an answer here, and no No."""
    if not offered(timeline.GetIsTrackEnabled):
        return True
    answer: Any = timeline.GetIsTrackEnabled("video", track)
    if answer is None:
        must(answer, f"say whether video track {track} is enabled", "open the timeline again")
    return bool(answer)


def frame(method: Callable[..., Any]) -> int:
    """A frame position, asked for without an argument.

    The stubs call for one, whether to count fractions of frames; versions before it came answer whole frames.
    """
    position: float = must(method(), "say where a clip lies", "choose a clip on the timeline")
    return round(position)
