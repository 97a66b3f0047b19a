"""Before a Write renders: do the painted frames exist, and are they of these settings? Touches Nuke.

Runs with a window and in `nuke -t`. An exception ends the render; nothing is rendered here.
"""

from __future__ import annotations

from functools import lru_cache

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke.graph import above, is_impasto
from impasto.hosts.nuke.knobs import plan_of, shown_frames, shown_range
from impasto.hosts.nuke.node import CHECKS, SHOWN
from impasto.hosts.nuke.state import fault_of


def before_render() -> None:
    """For `nuke.addBeforeRender`: every Impasto node above the Write is painted and fresh, or RuntimeError."""
    write = nuke.thisNode()
    nodes = _checked_nodes()[write.fullName()] = _above(write)
    for node in nodes:
        freshness = node["check"].value() == CHECKS[0]
        try:
            fault = fault_of(plan_of(node), shown_frames(node), freshness=freshness)
        except BridgeError as error:
            fault = str(error)
        if fault:
            raise RuntimeError(_message(node, fault))


def before_frame() -> None:
    """For `nuke.addBeforeFrameRender`: the frame lies in the range of the node's Read, or RuntimeError.

    Whether its file exists is not checked: below a TimeOffset or a FrameHold another file is needed, and a Read without
    its file fails by itself. Only beyond its range it would hold a frame without an error.
    """
    number = nuke.frame()
    for node in _checked_nodes().get(nuke.thisNode().fullName(), ()):
        shown = shown_range(node)
        if number not in shown.numbers():
            raise RuntimeError(_message(node, f"frame {number} lies outside of its {shown.text()}"))


@lru_cache(maxsize=None)
def _checked_nodes() -> dict[str, list[nuke.Node]]:
    """Write -> nodes above it when its render began: a walk for every frame would be slow in a large script."""
    return {}


def _above(write: nuke.Node) -> list[nuke.Node]:
    """Impasto nodes above a Write that show painted frames and are to be checked."""
    return [
        node
        for node in above([write])
        if is_impasto(node)
        and node["shown"].value() == SHOWN[0]
        and not node["disable"].value()
        and node["check"].value() != CHECKS[2]
    ]


def _message(node: nuke.Node, fault: str) -> str:
    return (
        f"Impasto: expected the painted frames of {node.fullName()} to be there and up to date, {fault}; "
        "press Stylize on it before the render, show its plate, or relax its knob 'before renders check'"
    )
