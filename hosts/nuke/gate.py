"""Before a Write renders: are the painted frames that it needs there, and of these settings? Touches Nuke.

Runs in the window and in `nuke -t`. It raises, which ends the render; it never renders anything itself.
"""

from __future__ import annotations

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import for_view
from impasto.hosts.bridge.ranges import FrameRange
from impasto.hosts.nuke.graph import above, is_impasto
from impasto.hosts.nuke.knobs import plan_of, shown_of
from impasto.hosts.nuke.node import CHECKS, SHOWN
from impasto.hosts.nuke.state import fault_of, missing_text


def before_render() -> None:
    """For `nuke.addBeforeRender`: every Impasto node above the Write is painted and fresh, or RuntimeError."""
    for node in _behind(nuke.thisNode()):
        freshness = node["check"].value() == CHECKS[0]
        try:
            fault = fault_of(plan_of(node), shown_of(node), freshness=freshness)
        except BridgeError as error:
            fault = str(error)
        if fault:
            raise RuntimeError(_sentence(node, fault))


def before_frame() -> None:
    """For `nuke.addBeforeFrameRender`: the painted frame of this very frame is there, or RuntimeError."""
    number = nuke.frame()
    for node in _behind(nuke.thisNode()):
        pattern = for_view(shown_of(node).pattern, nuke.thisView())
        fault = missing_text(pattern, [nuke.thisView()], FrameRange(number, number)) if pattern else "it has no files"
        if fault:
            raise RuntimeError(_sentence(node, fault))


def _behind(write: nuke.Node) -> list[nuke.Node]:
    """Impasto nodes above a Write that show painted frames and want to be checked."""
    return [
        node
        for node in above([write])
        if is_impasto(node)
        and node["shown"].value() == SHOWN[0]
        and not node["disable"].value()
        and node["check"].value() != CHECKS[2]
    ]


def _sentence(node: nuke.Node, fault: str) -> str:
    return (
        f"Impasto: expected the painted frames of {node.fullName()} to be there and up to date, {fault}; "
        "press Stylize on it before the render, show its plate, or relax its knob 'before renders check'"
    )
