"""Before a Write renders: are the painted frames that it needs there, and of these settings? Touches Nuke.

Runs in the window and in `nuke -t`. It raises, which ends the render; it never renders anything itself.
"""

from __future__ import annotations

from functools import lru_cache

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke.graph import above, is_impasto
from impasto.hosts.nuke.knobs import plan_of, shown_of, shown_range
from impasto.hosts.nuke.node import CHECKS, SHOWN
from impasto.hosts.nuke.state import fault_of


def before_render() -> None:
    """For `nuke.addBeforeRender`: every Impasto node above the Write is painted and fresh, or RuntimeError."""
    write = nuke.thisNode()
    nodes = _found()[write.fullName()] = _behind(write)
    for node in nodes:
        freshness = node["check"].value() == CHECKS[0]
        try:
            fault = fault_of(plan_of(node), shown_of(node), freshness=freshness)
        except BridgeError as error:
            fault = str(error)
        if fault:
            raise RuntimeError(_sentence(node, fault))


def before_frame() -> None:
    """For `nuke.addBeforeFrameRender`: the frame is one that the node looks for a file for, or RuntimeError.

    Not whether the file of this number is there: behind a TimeOffset or a FrameHold another one is needed, and a Read
    that lacks its file fails by itself. Beyond its range alone it would hold a frame in silence.
    """
    number = nuke.frame()
    for node in _found().get(nuke.thisNode().fullName(), ()):
        shown = shown_range(node)
        if number not in shown.numbers():
            raise RuntimeError(_sentence(node, f"frame {number} lies outside of its {shown.text()}"))


@lru_cache(maxsize=None)
def _found() -> dict[str, list[nuke.Node]]:
    """Write -> what was above it when its render began: a walk for every frame would be felt in a large script."""
    return {}


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
