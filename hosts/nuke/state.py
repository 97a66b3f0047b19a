"""Whether what a node shows is what its settings ask for, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from impasto.hosts.bridge.patterns import for_view, frames_present
from impasto.hosts.bridge.ranges import FrameRange, ranges_text
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.settings_file import Mark

NOT_YET = "not painted yet: press Stylize"


@dataclass(frozen=True)
class Shown:
    """What a node shows: what its frames were painted with, and its files."""

    ready: bool
    mark: Mark
    pattern: str
    """With %V and %04d; of the Read."""


def state_of(plan: Plan, shown: Shown, *, busy: bool) -> str:
    """One line for the node's panel."""
    if busy:
        return "being painted"
    if not shown.ready:
        return NOT_YET
    fault = fault_of(plan, shown)
    return "out of date: " + fault if fault else f"up to date ({plan.frames.count} frames, {plan.space})"


def fault_of(plan: Plan, shown: Shown, *, freshness: bool = True) -> str:
    """Why what is shown is not what the settings ask for; '' where it is."""
    if not shown.ready:
        return "it was never painted"
    missing = missing_text(shown.pattern, plan.views, plan.frames)
    if missing:
        return missing
    if not freshness:
        return ""
    if shown.mark.key != plan.key():
        return "the input or the settings changed since it was painted"
    # A machine that does not know the style cannot say that it is another.
    if plan.style_digest and shown.mark.style_digest not in ("", plan.style_digest):
        return f"the style '{plan.style}' was trained anew since it was painted"
    return ""


def missing_text(pattern: str, views: Sequence[str], frames: FrameRange) -> str:
    """Which painted frames are not there; '' where all are."""
    for view in views:
        files = for_view(pattern, view)
        missing = frames.missing(frames_present(files))
        if missing:
            return f"frames {ranges_text(missing)} are not in '{files}'"
    return ""
