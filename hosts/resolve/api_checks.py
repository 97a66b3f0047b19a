"""Resolve refuses by answering False, None or an empty value; here every refusal becomes a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar

from impasto.hosts.bridge.errors import BridgeError

if TYPE_CHECKING:
    from fusionscript import Project, Timeline, TimelineItem

Answer = TypeVar("Answer")


def must(answer: Answer, what: str, do: str) -> Answer:
    """The answer; BridgeError, with what was expected of Resolve and what to do, where it is a refusal."""
    if is_no(answer):
        raise BridgeError(f"expected Resolve to {what}, it answered {answer!r}; {do}")
    return answer


def is_no(answer: object) -> bool:
    """Whether an answer of Resolve is a refusal. 0 is a number and none."""
    return answer is None or answer is False or (isinstance(answer, (str, list, tuple, dict)) and not answer)


def try_twice(call: Callable[[], object]) -> bool:
    """Call once more after a refusal, for clean-up; whether one of the calls succeeded."""
    return not is_no(call()) or not is_no(call())


def has_method(method: Callable[..., Any]) -> bool:
    """Whether this version of Resolve has a method. Names that it does not know are None on its objects."""
    unknown: Any = method
    return unknown is not None


def unique_id(owner: Any) -> str:
    """The id of a project, a timeline or a clip, the same in every session."""
    return str(must(owner.GetUniqueId(), f"say the id of '{owner.GetName()}'", "try again"))


def tracks_of(timeline: Timeline) -> int:
    """How many video tracks there are. BridgeError for a refusal, which must not count as none."""
    return int(must(timeline.GetTrackCount("video"), "count the video tracks", "open the timeline again"))


def items_of(timeline: Timeline, track: int) -> list[TimelineItem]:
    """The clips of a video track. An empty list is a track without clips; any other empty value is a refusal."""
    items: Any = timeline.GetItemListInTrack("video", track)
    if items is None or items is False:
        must(items, f"list the clips of video track {track}", "open the timeline again")
    return list(items)


def setting(project: Project, timeline: Timeline, key: str) -> object:
    """A setting of the timeline where it has its own, else of the project."""
    return timeline.GetSetting(key) or project.GetSetting(key)


def named_tracks(timeline: Timeline, name: str) -> list[int]:
    """The video tracks of a name, from the lowest."""
    return [track for track in range(1, tracks_of(timeline) + 1) if timeline.GetTrackName("video", track) == name]


def track_enabled(timeline: Timeline, track: int) -> bool:
    """Whether a video track is enabled; True where Resolve cannot be asked. False is an answer here, not a refusal."""
    if not has_method(timeline.GetIsTrackEnabled):
        return True
    answer: Any = timeline.GetIsTrackEnabled("video", track)
    if answer is None:
        must(answer, f"say whether video track {track} is enabled", "open the timeline again")
    return bool(answer)


def frame(method: Callable[..., Any]) -> int:
    """A frame position, from a method that is called without an argument.

    The stubs call for one (whether to count fractions of frames), which older versions do not have.
    """
    position: float = must(method(), "say where a clip lies", "choose a clip on the timeline")
    return round(position)
