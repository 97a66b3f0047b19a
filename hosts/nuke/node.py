"""Makes the group: Plate, Matte → Write → (server) → Read → Copy → Dissolve → Keymix → Switch → Output.

Plain nodes and expressions, no gizmo and no callback in the script: it opens and renders where impasto is not
installed. Only the colour comes back from the painted files; every other layer, the metadata and the bounding box are
those of the plate, which never left Nuke.
"""

from __future__ import annotations

import uuid
from typing import cast

import nuke

from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.colour import SPACES
from impasto.hosts.bridge.events import ParameterFound
from impasto.hosts.nuke.graph import MARK

LAYOUT = 1
"""Version of what is built here, in the mark of every node."""
AS_THE_SCRIPT = "as the script"
RANGES = ("input", "script", "custom")
CHECKS = ("frames and freshness", "frames", "nothing")
SHOWN = ("painted", "plate")
NOT_HERE = "Impasto is not installed here. What is painted shows all the same; `impasto nuke install` puts it in."

_SHOW = "parent.shown == 0 && (parent.ready || !$gui)"
"""In the window a node that was never painted shows the plate; a render without one fails on the Read instead."""


def make_node(catalogue: Catalogue) -> nuke.Node:
    """A new node below what is selected, as one step of undo."""
    undo = nuke.Undo()
    undo.begin("Impasto")
    try:
        group = nuke.createNode("Group", inpanel=False)
        group.setName("Impasto1", uncollide=True)
        _add_knobs(group, catalogue)
        _add_nodes(cast("nuke.Group", group))
        if nuke.GUI:
            group.showControlPanel()
    finally:
        undo.end()
    return group


def add_parameters(group: nuke.Node, parameters: tuple[ParameterFound, ...]) -> None:
    """A slider for each parameter that the node does not have yet."""
    for each in parameters:
        if each.name not in group.knobs():
            knob = nuke.Double_Knob(each.name, each.name)
            knob.setRange(each.minimum, each.maximum)
            knob.setTooltip(each.help)
            group.addKnob(knob)
            knob.setValue(each.default)


def _add_knobs(group: nuke.Node, catalogue: Catalogue) -> None:
    def add(knob: nuke.Knob, tooltip: str = "", *, hidden: bool = False, same_line: bool = False) -> nuke.Knob:
        knob.setTooltip(tooltip)
        if hidden:
            knob.setFlag(nuke.INVISIBLE)
        # Nuke begins a line for every knob but check boxes and buttons.
        if not same_line:
            knob.setFlag(nuke.STARTLINE)
        group.addKnob(knob)
        return knob

    add(nuke.Tab_Knob("impasto_tab", "Impasto"))
    names = catalogue.style_names() or ["wheatfield"]
    add(nuke.Enumeration_Knob("style", "style", names), "The style that paints; Reload reads the list again.")
    add(
        nuke.File_Knob("style_file", "own style"),
        "The .safetensors file of a style of your own; it paints in the place of the style above.",
    )
    add_parameters(group, catalogue.parameters)
    add(nuke.Boolean_Knob("use_matte", "use matte", False), "Mix by the alpha of the input Matte.")
    add(nuke.Enumeration_Knob("range", "frames", list(RANGES)), "Which frames are painted.")
    add(nuke.Int_Knob("first", "first"), "First frame, where frames is custom.").setValue(1)
    add(nuke.Int_Knob("last", "last"), "Last frame, where frames is custom.", same_line=True).setValue(1)
    add(nuke.String_Knob("views", "views"), "Views that are painted, such as: left right. Empty: all of the script.")
    add(
        nuke.Enumeration_Knob("plate_space", "plate is", [AS_THE_SCRIPT, *SPACES]),
        "Colour space of the plate. As the script: the working space of the project settings.",
    )
    add(
        nuke.Boolean_Knob("use_alpha", "premultiplied", True),
        "The plate is premultiplied by its alpha. Off for a plate whose alpha means something else.",
    )
    add(
        nuke.File_Knob("scratch", "scratch folder"),
        "Where plates and painted frames lie. Empty: a folder 'impasto' beside the script.",
    )
    add(nuke.String_Knob("server", "server"), "tcp://HOST:PORT of a server elsewhere. Empty: the one of this machine.")
    add(
        nuke.String_Knob("shared", "shared folder"),
        "NAME=/folder: the root NAME of a server elsewhere is this folder here; the scratch folder lies below it.",
    )
    add(nuke.Enumeration_Knob("shown", "show", list(SHOWN)), "The painted frames, or the plate as it is.")
    add(
        nuke.Enumeration_Knob("check", "before renders check", list(CHECKS)),
        "What must hold of this node before a Write behind it renders; else the render fails.",
    )
    for name, label in (("stylize", "Stylize"), ("cancel", "Cancel"), ("reload", "Reload")):
        button = nuke.PyScript_Knob(name, label, _script_of(name))
        add(button, _HELP[name], same_line=name != "stylize")
    add(nuke.String_Knob("impasto_state", "state"), "Whether the painted frames are those of these settings.").setFlag(
        nuke.READ_ONLY
    )
    for knob, value in (
        (nuke.Int_Knob(MARK, MARK), LAYOUT),
        (nuke.String_Knob("identity", "identity"), uuid.uuid4().hex[:12]),
        (nuke.Boolean_Knob("ready", "ready"), False),
    ):
        add(knob, hidden=True).setValue(value)


def _add_nodes(group: nuke.Group) -> None:
    with group:
        plate = nuke.nodes.Input(name="Plate")
        plate["number"].setValue(0)
        matte = nuke.nodes.Input(name="Matte")
        matte["number"].setValue(1)

        write = nuke.nodes.Write(name="PlateWrite")
        write.setInput(0, plate)
        # The kind of file first: the knobs of a kind appear with it.
        for name, value in (
            ("file_type", "exr"), ("channels", "rgba"), ("raw", True), ("datatype", "16 bit half"),
            ("compression", "Zip (1 scanline)"), ("metadata", "all metadata"), ("create_directories", True),
        ):  # fmt: skip
            write[name].setValue(value)
        # A render of all Writes, as farms do it, must pass this one over.
        write["disable"].setValue(True)

        read = nuke.nodes.Read(name="Painted")
        for name, value in (
            ("raw", True), ("on_error", "error"), ("before", "black"), ("after", "black"),
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


_HELP = {
    "stylize": "Write the plate, paint it, show it. Frames that did not change are kept.",
    "cancel": "Stop; what is painted is kept.",
    "reload": "Read the painted files and the list of styles again, and look whether the frames are up to date.",
}


def _script_of(action: str) -> str:
    """What a button runs: ours where it is installed, else a sentence."""
    return (
        "try:\n    from impasto.hosts.nuke import panel\n"
        f"except ImportError:\n    nuke.message({NOT_HERE!r})\n"
        f"else:\n    panel.{action}(nuke.thisNode())"
    )
