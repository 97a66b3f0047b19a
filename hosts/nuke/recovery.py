"""Offers to continue jobs that were cut off when Nuke was closed, when their script opens. Touches Nuke."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import nuke

from impasto.hosts.bridge.jobs import HostJob, cut_off, load, problem_of, store
from impasto.hosts.nuke import panel
from impasto.hosts.nuke.graph import impasto_nodes
from impasto.hosts.nuke.knobs import folders_of


def jobs_cut_off() -> list[tuple[nuke.Node, HostJob]]:
    """Nodes of this script with a job that a closed Nuke left unfinished."""
    found = []
    for node in impasto_nodes():
        job = load(folders_of(node).root)
        if job is not None and cut_off(job):
            found.append((node, job))
    return found


def script_loaded() -> None:
    """For `nuke.addOnScriptLoad`, in the window: ask whether to continue; once, whatever the answer is."""
    for node in impasto_nodes():
        problem = problem_of(folders_of(node).root)
        if problem:
            nuke.tprint(f"Impasto, {node.name()}: {problem}")
    found = jobs_cut_off()
    if not found:
        return
    lines = [f"{job.what}: {job.done} of {job.frames} frames painted" for _, job in found]
    if nuke.ask("Nuke was closed while Impasto painted:\n\n{}\n\nPaint on?".format("\n".join(lines))):
        for node, _ in found:
            panel.stylize(node)
        return
    for node, job in found:
        # Where the folder cannot be written, the next start asks again.
        with suppress(OSError):
            store(replace(job, state="cancelled"), folders_of(node).root)
