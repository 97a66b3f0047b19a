"""Whether the frames that a node shows were painted with its settings, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from impasto.hosts.bridge.patterns import for_view, frames_present
from impasto.hosts.bridge.ranges import FrameList, ranges_text
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.settings_file import PaintedSettings

NOT_YET = "not painted yet: press Stylize"


@dataclass(frozen=True)
class ShownFrames:
    """The files that a node shows, and what they were painted with."""

    ready: bool
    """Whether the node was ever painted."""
    settings: PaintedSettings
    pattern: str
    """With %V and %04d; of the Read."""


def state_of(plan: Plan, shown: ShownFrames, *, busy: bool) -> str:
    """One line for the node's panel."""
    if busy:
        return "being painted"
    if not shown.ready:
        return NOT_YET
    fault = fault_of(plan, shown)
    return "out of date: " + fault if fault else f"up to date ({plan.frames.count} frames, {plan.render.input_space})"


def fault_of(plan: Plan, shown: ShownFrames, *, freshness: bool = True) -> str:
    """How the shown frames differ from what the settings ask for; '' where they do not."""
    if not shown.ready:
        return "it was never painted"
    missing = missing_text(shown.pattern, plan.views, plan.frames)
    if missing:
        return missing
    if not freshness:
        return ""
    if shown.settings.key != plan.key():
        return "the input or the settings changed since it was painted"
    # A machine that does not know the style cannot tell whether it changed.
    if plan.style_digest and shown.settings.style_digest not in ("", plan.style_digest):
        return f"the style '{plan.render.style}' was trained anew since it was painted"
    return ""


def missing_text(pattern: str, views: Sequence[str], frames: FrameList) -> str:
    """Which painted frames do not exist; '' where all do."""
    for view in views:
        files = for_view(pattern, view)
        missing = frames.missing(frames_present(files))
        if missing:
            return f"frames {ranges_text(missing)} are not in '{files}'"
    return ""
