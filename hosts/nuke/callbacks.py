"""What Nuke tells us of a node: a knob that changed, a node that was pasted. Touches Nuke; main thread alone."""

from __future__ import annotations

import uuid

import nuke

from impasto.hosts.bridge.catalogue import load_catalogue
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.desk import desk
from impasto.hosts.nuke.graph import impasto_nodes, is_impasto
from impasto.hosts.nuke.plan import LIVE

LOOKED_AT = ("showPanel", "inputChange")
"""What Nuke tells instead of a knob when the panel opens and when a wire changes."""
SETTINGS = ("style", "style_file", "range", "first", "last", "views", "plate_space", "use_alpha")
CHANGED = "out of date: a setting changed since it was painted (Reload looks whether it matters)"


def knob_changed() -> None:
    """Follow the artist's changes; for `nuke.addKnobChanged`."""
    node, name = nuke.thisNode(), nuke.thisKnob().name()
    if not is_impasto(node) or name not in (
        *LOOKED_AT,
        *SETTINGS,
        *(each.name for each in load_catalogue().parameters),
    ):
        return
    if name in LOOKED_AT:
        panel.refresh(node)
    elif name not in LIVE and node["ready"].value() and not desk().busy(node["identity"].value()):
        # A look at everything above the node is too much for each step of a slider.
        node["impasto_state"].setValue(CHANGED)


def node_created() -> None:
    """Give a pasted node an identity of its own; for `nuke.addOnCreate`."""
    node = nuke.thisNode()
    if not is_impasto(node):
        return
    identity = node["identity"].value()
    if any(each["identity"].value() == identity for each in impasto_nodes() if each.fullName() != node.fullName()):
        node["identity"].setValue(uuid.uuid4().hex[:12])
        node["ready"].setValue(False)
        panel.refresh(node)
