"""Read by Nuke when its window opens: the entry in the toolbar, and the callbacks of the panel."""

from __future__ import annotations

import nuke

from impasto.hosts.nuke import callbacks, panel, recovery

nuke.menu("Nodes").addMenu("Impasto").addCommand("Impasto", panel.create)
nuke.addKnobChanged(callbacks.knob_changed, nodeClass="Group")
nuke.addOnCreate(callbacks.node_created, nodeClass="Group")
nuke.addOnScriptLoad(recovery.script_loaded)
