"""Jobs that were cut off when Nuke was closed: found when their script opens, and offered. Touches Nuke."""

from __future__ import annotations

import nuke

from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import OPEN, Job, alive, load
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.graph import impasto_nodes
from impasto.hosts.nuke.knobs import plan_of


def cut_off() -> list[tuple[nuke.Node, Job]]:
    """Nodes of this script whose job was under way in a Nuke that is gone."""
    found = []
    for node in impasto_nodes():
        try:
            job = load(plan_of(node).folders.root)
        except BridgeError:
            continue
        if job is not None and job.state in OPEN and not alive(job):
            found.append((node, job))
    return found


def script_loaded() -> None:
    """For `nuke.addOnScriptLoad`, in the window: ask whether to paint on."""
    found = cut_off()
    if not found:
        return
    lines = [f"{job.what}: {job.done} of {job.frames} frames painted" for _, job in found]
    if nuke.ask("Nuke was closed while Impasto painted:\n\n{}\n\nPaint on?".format("\n".join(lines))):
        for node, _ in found:
            panel.stylize(node)
