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
"""How Nuke's words begin where an artist cancels a render, as its own dialogs look for them."""


class Written:
    """What came of a render on the main thread, to be carried to the thread that asked for it."""

    def __init__(self, error: str = "", *, cancelled: bool = False) -> None:
        self.error, self.cancelled = error, cancelled


def write_plates(plan: Plan, view: str) -> Written:
    """Render one view at full size and put everything back as it was. Says what went wrong instead of raising."""
    node = impasto_node(plan.identity)
    if node is None:
        return Written("the node was deleted")
    try:
        _render(inner_write(node), plan, view)
    except Exception as error:  # noqa: BLE001  # whatever Nuke raises is told on the thread that waits for it
        said = str(error)
        return Written(said or type(error).__name__, cancelled=said.startswith(CANCELLED))
    return Written()


def check(written: Written | None) -> None:
    """Raise what a render told: WriteCancelled, or RuntimeError with Nuke's words."""
    if written is None:
        raise RuntimeError("it gave no answer")
    if written.cancelled:
        raise WriteCancelled
    if written.error:
        raise RuntimeError(written.error)


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
        nuke.execute(write, plan.frames.first, plan.frames.last, 1, [view])
    finally:
        write["disable"].setValue(True)
        proxy.setValue(was_proxy)
        nuke.Undo.enable()
