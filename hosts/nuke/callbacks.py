"""Callbacks of Nuke: a knob changed, a node was pasted. Touches Nuke; main thread alone."""

from __future__ import annotations

import uuid

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.graph import impasto_nodes, is_impasto
from impasto.hosts.nuke.group_nodes import clear_painted
from impasto.hosts.nuke.jobs import job_runner
from impasto.hosts.nuke.knobs import set_state
from impasto.hosts.nuke.node import parameters_of
from impasto.hosts.nuke.plan import LIVE
from impasto.hosts.nuke.state import NOT_YET

PANEL_OPENED, WIRE_CHANGED = "showPanel", "inputChange"
"""Names that Nuke gives instead of a knob's."""
SETTINGS = ("style", "style_file", "range", "first", "last", "views", "plate_space", "use_alpha")
CHANGED = "out of date: a setting changed since it was painted (Reload looks whether it matters)"


def knob_changed() -> None:
    """Update the state in the panel after a change; for `nuke.addKnobChanged`."""
    node, name = nuke.thisNode(), nuke.thisKnob().name()
    if not is_impasto(node) or name in LIVE:
        return
    # `refresh` walks everything above the node: too slow while a script loads, and for each step of a slider.
    if name == PANEL_OPENED or (name == WIRE_CHANGED and node.shown()):
        panel.refresh(node)
        return
    setting = name in SETTINGS or name in parameters_of(node)
    if setting and node["ready"].value() and not job_runner().busy(node["identity"].value()):
        set_state(node, CHANGED)


def node_created() -> None:
    """Give a pasted node an identity of its own, without painted frames; for `nuke.addOnCreate`."""
    node = nuke.thisNode()
    if not is_impasto(node):
        return
    identity = node["identity"].value()
    if any(each["identity"].value() == identity for each in impasto_nodes() if each.fullName() != node.fullName()):
        node["identity"].setValue(uuid.uuid4().hex[:12])
        try:
            clear_painted(node)
        except BridgeError as error:
            set_state(node, str(error))
        else:
            set_state(node, NOT_YET)
