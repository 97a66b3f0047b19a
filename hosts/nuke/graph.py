"""The nodes above a node, through groups, and their fingerprint. Touches Nuke; main thread alone."""

from __future__ import annotations

import os
from typing import Iterable, Iterator

import nuke

from impasto.hosts.bridge.digest import digest_of
from impasto.hosts.bridge.patterns import files_of, for_view

LAYOUT_KNOB = "impasto_node"
"""A hidden knob that only our groups have; its value is the version of their layout."""

_NOT_OF_THE_PICTURE = {
    *("name", "label", "xpos", "ypos", "selected", "hide_input", "tile_color", "gl_color", "note_font"),
    *("note_font_size", "note_font_color", "postage_stamp", "bookmark", "dope_sheet", "indicators", "icon", "help"),
    *("cached", "onCreate", "onDestroy", "knobChanged", "updateUI", "autolabel", "panel", "rootNodeUpdated"),
    *("localizationPolicy", "postage_stamp_frame", "lifetimeStart", "lifetimeEnd", "useLifetime", "impasto_state"),
}
"""Knobs that change no pixel."""


def is_impasto(node: nuke.Node) -> bool:
    """Whether a node is one of ours."""
    return node.Class() == "Group" and LAYOUT_KNOB in node.knobs()


def impasto_nodes() -> list[nuke.Node]:
    """Every node of ours in the script, inside groups too."""
    # The root by name: code of a group's button sees only the nodes inside that group otherwise.
    return [node for node in nuke.allNodes("Group", nuke.root(), recurseGroups=True) if is_impasto(node)]


def impasto_node(identity: str) -> nuke.Node | None:
    """The node of an identity, None where it was deleted."""
    return next((node for node in impasto_nodes() if node["identity"].value() == identity), None)


def above(nodes: Iterable[nuke.Node | None]) -> Iterator[nuke.Node]:
    """These nodes and everything that feeds them, each once, always in the same order.

    All nodes inside a group count; from there the walk leaves through the inputs of the group. It does not enter our
    own groups.
    """
    seen: set[str] = set()
    waiting = [node for node in nodes if node is not None][::-1]
    while waiting:
        node = waiting.pop()
        if node.fullName() in seen:
            continue
        seen.add(node.fullName())
        yield node
        feeding: list[nuke.Node | None] = [node.input(index) for index in range(node.inputs())]
        if node.Class() == "Input":
            feeding.append(node.parent().input(int(node["number"].value())))
        if isinstance(node, nuke.Group) and not is_impasto(node):
            feeding.extend(_inside(node))
        waiting += [each for each in feeding if each is not None][::-1]


def digest_above(node: nuke.Node) -> str:
    """A fingerprint of the input of a node; it changes with classes, wires and values of knobs."""
    found = list(above([node.input(0)]))
    # By position, not by name: renaming a node must not paint anew.
    places = {each.fullName(): place for place, each in enumerate(found)}
    facts = []
    for each in found:
        wires = [-1 if fed is None else places[fed.fullName()] for fed in map(each.input, range(each.inputs()))]
        facts.append([each.Class(), wires, _knobs_text(each), _files_of(each)])
    return digest_of(facts)


def local_path(path: str) -> str:
    """A file's name on this machine: a filename filter may turn P:/ into /mnt/p on a farm."""
    # The stubs leave this call bare.
    return str(nuke.filenameFilter(path) or path)  # type: ignore[no-untyped-call]


def _inside(group: nuke.Group) -> list[nuke.Node]:
    return sorted(group.nodes(), key=lambda each: each.name())


def _files_of(node: nuke.Node) -> list[list[object]]:
    """Name, size and time of the files of a Read, so that a plate that was rendered anew counts as another one.

    A name that Nuke computes is skipped; the next Stylize finds changed files by their contents.
    """
    pattern = str(node["file"].value() or "") if node.Class() == "Read" else ""
    if not pattern or "[" in pattern:
        return []
    pattern = local_path(pattern)
    found = []
    for each in sorted({for_view(pattern, view) for view in nuke.views()}):
        for path in files_of(each):
            facts = os.stat(path)
            found.append([os.path.basename(path), facts.st_size, int(facts.st_mtime)])
    return found


def _knobs_text(node: nuke.Node) -> list[str]:
    text = node.writeKnobs(nuke.WRITE_NON_DEFAULT_ONLY | nuke.TO_SCRIPT)
    lines = (line.strip() for line in text.splitlines())
    return sorted(line for line in lines if line.partition(" ")[0] not in _NOT_OF_THE_PICTURE)
