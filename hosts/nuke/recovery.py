"""Jobs that were cut off when Nuke was closed: found when their script opens, and offered. Touches Nuke."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import nuke

from impasto.hosts.bridge.jobs import OPEN, Job, alive, load, store
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.graph import impasto_nodes
from impasto.hosts.nuke.knobs import folders_of


def cut_off() -> list[tuple[nuke.Node, Job]]:
    """Nodes of this script whose job was under way in a Nuke that is gone."""
    found = []
    for node in impasto_nodes():
        job = load(folders_of(node).root)
        if job is not None and job.state in OPEN and not alive(job):
            found.append((node, job))
    return found


def script_loaded() -> None:
    """For `nuke.addOnScriptLoad`, in the window: ask whether to paint on; once, whatever the answer is."""
    found = cut_off()
    if not found:
        return
    lines = [f"{job.what}: {job.done} of {job.frames} frames painted" for _, job in found]
    if nuke.ask("Nuke was closed while Impasto painted:\n\n{}\n\nPaint on?".format("\n".join(lines))):
        for node, _ in found:
            panel.stylize(node)
        return
    for node, job in found:
        # Where the folder takes nothing any more, the next start asks again.
        with suppress(OSError):
            store(replace(job, state="cancelled"), folders_of(node).root)
