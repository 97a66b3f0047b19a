"""What Nuke tells us of a node: a knob that changed, a node that was pasted. Touches Nuke; main thread alone."""

from __future__ import annotations

import uuid

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.graph import impasto_nodes, is_impasto
from impasto.hosts.nuke.group_nodes import forget
from impasto.hosts.nuke.jobs import desk
from impasto.hosts.nuke.knobs import say
from impasto.hosts.nuke.node import parameters_of
from impasto.hosts.nuke.plan import LIVE
from impasto.hosts.nuke.state import NOT_YET

PANEL_OPENED, WIRE_CHANGED = "showPanel", "inputChange"
"""What Nuke tells in the place of a knob."""
SETTINGS = ("style", "style_file", "range", "first", "last", "views", "plate_space", "use_alpha")
CHANGED = "out of date: a setting changed since it was painted (Reload looks whether it matters)"


def knob_changed() -> None:
    """Follow the artist's changes; for `nuke.addKnobChanged`."""
    node, name = nuke.thisNode(), nuke.thisKnob().name()
    if not is_impasto(node) or name in LIVE:
        return
    # A look at everything above the node is too much for a script that loads, and for each step of a slider.
    if name == PANEL_OPENED or (name == WIRE_CHANGED and node.shown()):
        panel.refresh(node)
        return
    told = name in SETTINGS or name in parameters_of(node)
    if told and node["ready"].value() and not desk().busy(node["identity"].value()):
        say(node, CHANGED)


def node_created() -> None:
    """Give a pasted node an identity of its own, and nothing to show; for `nuke.addOnCreate`."""
    node = nuke.thisNode()
    if not is_impasto(node):
        return
    identity = node["identity"].value()
    if any(each["identity"].value() == identity for each in impasto_nodes() if each.fullName() != node.fullName()):
        node["identity"].setValue(uuid.uuid4().hex[:12])
        try:
            forget(node)
        except BridgeError as error:
            say(node, str(error))
        else:
            say(node, NOT_YET)
