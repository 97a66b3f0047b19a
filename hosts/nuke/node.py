"""Makes a node: a group, its knobs, and its place in the tree. Touches Nuke; main thread alone.

Plain knobs and no callback in the script, so that it opens and renders where impasto is not installed.
"""

from __future__ import annotations

import uuid
from typing import cast

import nuke

from impasto.hosts.bridge.catalogue import Catalogue
from impasto.hosts.bridge.colour import SPACES
from impasto.hosts.events import ParameterFound
from impasto.hosts.nuke.graph import LAYOUT_KNOB
from impasto.hosts.nuke.group_nodes import add_nodes

LAYOUT = 1
"""Version of what is built here, in a hidden knob of every node."""
AS_THE_SCRIPT = "as the script"
RANGES = ("input", "script", "custom", "list")
CHECKS = ("frames and freshness", "frames", "nothing")
SHOWN = ("painted", "plate")
NOT_HERE = "Impasto is not installed here. What is painted shows all the same; `impasto nuke install` puts it in."

PARAMETERS = "impasto_parameters"
"""A hidden knob with the names of the sliders, for a farm without the catalogue."""


def make_node(catalogue: Catalogue) -> nuke.Node:
    """A new node below the selected one, as one step of undo."""
    undo = nuke.Undo()
    undo.begin("Impasto")
    try:
        selected = _selected()
        group = nuke.createNode("Group", inpanel=False)
        group.setName("Impasto1", uncollide=True)
        _add_knobs(group, catalogue)
        add_nodes(cast("nuke.Group", group))
        if selected is not None and group.input(0) is None:
            _put_below(selected, group)
        if nuke.GUI:
            group.showControlPanel()
    finally:
        undo.end()
    return group


def parameters_of(group: nuke.Node) -> list[str]:
    """The names of the node's sliders."""
    return str(group[PARAMETERS].value() or "").split()


def add_parameters(group: nuke.Node, parameters: tuple[ParameterFound, ...]) -> None:
    """A slider for each parameter that the node does not have yet."""
    for each in parameters:
        if each.name not in group.knobs():
            knob = nuke.Double_Knob(each.name, each.name)
            knob.setRange(each.minimum, each.maximum)
            knob.setTooltip(each.help)
            group.addKnob(knob)
            knob.setValue(each.default)
            group[PARAMETERS].setValue(" ".join([*parameters_of(group), each.name]))


def _selected() -> nuke.Node | None:
    try:
        return nuke.selectedNode()
    except ValueError:
        return None


def _put_below(node: nuke.Node, group: nuke.Node) -> None:
    """Wire the group between a node and what it feeds, as Nuke does with a new node that has inputs."""
    fed = []
    for each in node.dependent(nuke.INPUTS, False):
        feeding = [each.input(index) for index in range(each.inputs())]
        fed += [(each, index) for index, one in enumerate(feeding) if one and one.fullName() == node.fullName()]
    if group.setInput(0, node):
        for each, index in fed:
            each.setInput(index, group)


def _add_knobs(group: nuke.Node, catalogue: Catalogue) -> None:
    def add(knob: nuke.Knob, tooltip: str = "", *, hidden: bool = False, same_line: bool = False) -> nuke.Knob:
        knob.setTooltip(tooltip)
        if hidden:
            knob.setFlag(nuke.INVISIBLE)
        # By default Nuke begins a line for every knob but check boxes and buttons.
        if same_line:
            knob.clearFlag(nuke.STARTLINE)
        else:
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
    add(nuke.String_Knob(PARAMETERS, PARAMETERS), hidden=True)
    add_parameters(group, catalogue.parameters)
    add(nuke.Boolean_Knob("use_matte", "use matte", False), "Mix by the alpha of the input Matte.")
    add(nuke.Enumeration_Knob("range", "frames", list(RANGES)), "Which frames are painted.")
    add(nuke.Int_Knob("first", "first"), "First frame, where frames is custom.").setValue(1)
    add(nuke.Int_Knob("last", "last"), "Last frame, where frames is custom.", same_line=True).setValue(1)
    add(
        nuke.String_Knob("list", "list"),
        "Where frames is list: 1001-1100x10, 1,3,5, as Nuke writes them. Frames between them that were painted before "
        "are removed.",
    )
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
        (nuke.Int_Knob(LAYOUT_KNOB, LAYOUT_KNOB), LAYOUT),
        (nuke.String_Knob("identity", "identity"), uuid.uuid4().hex[:12]),
        (nuke.Boolean_Knob("ready", "ready"), False),
    ):
        add(knob, hidden=True).setValue(value)


_HELP = {
    "stylize": "Write the plate, paint it, show it. Frames that did not change are kept.",
    "cancel": "Stop; what is painted is kept.",
    "reload": "Read the painted files and the list of styles again, and look whether the frames are up to date.",
}


def _script_of(action: str) -> str:
    """The Python code of a button: our function where impasto is installed, else a message.

    Nuke runs it among the names of the artist's script editor, so it must define none that an artist might use.
    """
    return (
        "try:\n    from impasto.hosts.nuke import panel as impasto_panel\n"
        f"except ImportError:\n    nuke.message({NOT_HERE!r})\n"
        f"else:\n    impasto_panel.{action}(nuke.thisNode())"
    )
