"""Renders plates with a node's own Write. Touches Nuke; main thread alone."""

from __future__ import annotations

import os

import nuke

from impasto.hosts.bridge.patterns import for_view
from impasto.hosts.nuke.graph import impasto_node
from impasto.hosts.nuke.group_nodes import inner_write
from impasto.hosts.nuke.pipeline import WriteCancelled
from impasto.hosts.nuke.plan import Plan

CANCELLED = "Cancelled"
"""Nuke's message begins with this word where an artist cancels a render; Nuke's own dialogs look for it too."""


def write_plates(plan: Plan, view: str) -> None:
    """Render one view at full size and put everything back as it was.

    Raises WriteCancelled where the artist cancels the render, and RuntimeError with Nuke's words where it fails.
    """
    node = impasto_node(plan.identity)
    if node is None:
        raise RuntimeError("the node was deleted")
    try:
        _render(inner_write(node), plan, view)
    except Exception as error:  # Nuke raises what it likes
        text = str(error) or type(error).__name__
        if text.startswith(CANCELLED):
            raise WriteCancelled from error
        raise RuntimeError(text) from error


def _render(write: nuke.Node, plan: Plan, view: str) -> None:
    proxy = nuke.root()["proxy"]
    was_proxy = bool(proxy.value())
    os.makedirs(os.path.dirname(for_view(plan.folders.incoming, view)), exist_ok=True)
    # None of this is an edit of the artist's.
    nuke.Undo.disable()
    try:
        proxy.setValue(False)
        write["file"].setValue(plan.folders.incoming)
        write["channels"].setValue("rgba" if plan.alpha else "rgb")
        write["disable"].setValue(False)
        for span in plan.frames.spans:
            nuke.execute(write, span.first, span.last, 1, [view])
    finally:
        write["disable"].setValue(True)
        proxy.setValue(was_proxy)
        nuke.Undo.enable()
