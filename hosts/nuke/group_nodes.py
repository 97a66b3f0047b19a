"""The nodes in the group: Plate, Matte → Write → (server) → Read → Copy → Dissolve → Keymix → Switch → Output.

Plain nodes and expressions, so that the group renders where impasto is not installed. Only the colour comes from the
painted files; every other layer, the metadata and the bounding box are those of the plate, which never left Nuke.
Touches Nuke; main thread alone.
"""

from __future__ import annotations

from typing import cast

import nuke

from impasto.hosts.bridge.errors import BridgeError

NOT_PAINTED = "impasto/not_painted_yet.%04d.exr"
"""The file of a new node's Read: a name without files. With an empty name it might render black without an error."""

_SHOW = "parent.shown == 0 && (parent.ready || !$gui)"
"""With a window, a node that was never painted shows the plate; without one, its Read fails the render."""


def inner_write(node: nuke.Node) -> nuke.Node:
    """The Write that makes the plates."""
    return _inside(node, "PlateWrite")


def inner_read(node: nuke.Node) -> nuke.Node:
    """The Read that shows what is painted."""
    return _inside(node, "Painted")


def clear_painted(node: nuke.Node) -> None:
    """Let a node show no painted frames; a render without a window then fails. BridgeError for a broken node."""
    read = inner_read(node)
    for name, value in (("file", NOT_PAINTED), ("first", 1), ("last", 1)):
        read[name].setValue(value)
    node["ready"].setValue(False)


def add_nodes(group: nuke.Group) -> None:
    """Fill a new group."""
    with group:
        plate = nuke.nodes.Input(name="Plate")
        plate["number"].setValue(0)
        matte = nuke.nodes.Input(name="Matte")
        matte["number"].setValue(1)

        write = nuke.nodes.Write(name="PlateWrite")
        write.setInput(0, plate)
        # The file type first: the knobs of a type appear with it.
        for name, value in (
            ("file_type", "exr"), ("channels", "rgba"), ("raw", True), ("datatype", "16 bit half"),
            ("compression", "Zip (1 scanline)"), ("metadata", "all metadata"), ("create_directories", True),
        ):  # fmt: skip
            write[name].setValue(value)
        # A render of all Writes, as on a farm, must skip this one.
        write["disable"].setValue(True)

        read = nuke.nodes.Read(name="Painted")
        # Hold at both ends, as plates do: black there would come without an error.
        for name, value in (
            ("file", NOT_PAINTED), ("raw", True), ("on_error", "error"), ("before", "hold"), ("after", "hold"),
            ("localizationPolicy", "off"),
        ):  # fmt: skip
            read[name].setValue(value)

        copy = nuke.nodes.Copy(name="PaintedColour")
        copy.setInput(0, plate)
        copy.setInput(1, read)
        for index, channel in enumerate(("rgba.red", "rgba.green", "rgba.blue")):
            copy[f"from{index}"].setValue(channel)
            copy[f"to{index}"].setValue(channel)

        strength = nuke.nodes.Dissolve(name="Strength")
        strength.setInput(0, plate)
        strength.setInput(1, copy)
        strength["channels"].setValue("rgb")
        strength["which"].setExpression("parent.strength")

        keymix = nuke.nodes.Keymix(name="ByMatte")
        for index, feeding in enumerate((plate, strength, matte)):
            keymix.setInput(index, feeding)
        keymix["channels"].setValue("rgb")
        keymix["maskChannel"].setValue("rgba.alpha")

        by_matte = nuke.nodes.Switch(name="UseMatte")
        by_matte.setInput(0, strength)
        by_matte.setInput(1, keymix)
        by_matte["which"].setExpression("parent.use_matte")

        shown = nuke.nodes.Switch(name="Show")
        shown.setInput(0, plate)
        shown.setInput(1, by_matte)
        shown["which"].setExpression(_SHOW)
        nuke.nodes.Output(name="Out").setInput(0, shown)


def _inside(node: nuke.Node, name: str) -> nuke.Node:
    found = cast("nuke.Group", node).node(name)
    if found is None:
        raise BridgeError(f"expected the node {name} inside {node.name()}, it was removed; make a new Impasto node")
    return found
