"""Reads a node into values, and writes the result of a job back to it. Touches Nuke; main thread alone."""

from __future__ import annotations

import os
from typing import cast

import nuke

from impasto.hosts.bridge.catalogue import load_catalogue
from impasto.hosts.bridge.colour import space_of
from impasto.hosts.bridge.digest import digest_of_file
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import to_printf
from impasto.hosts.bridge.ranges import FrameList, FrameSpan
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.server_paths import SharedFolder
from impasto.hosts.nuke.graph import digest_above, local_path
from impasto.hosts.nuke.group_nodes import inner_read
from impasto.hosts.nuke.node import AS_THE_SCRIPT, parameters_of
from impasto.hosts.nuke.plan import LIVE, Folders, Plan, constant_or_curve, folder_of_node
from impasto.hosts.nuke.settings_file import settings_of
from impasto.hosts.nuke.state import ShownFrames


def plan_of(node: nuke.Node) -> Plan:
    """What the node asks for now. BridgeError for settings that cannot work."""
    plate = node.input(0)
    if plate is None:
        raise BridgeError(f"expected a plate at the first input of {node.name()}, it is not connected; connect it")
    if node["use_matte"].value() and node.input(1) is None:
        raise BridgeError(
            f"expected a matte at the second input of {node.name()}, it is not connected; connect it, or switch "
            "'use matte' off"
        )
    frames, folders = _frames(node, plate), folders_of(node)
    params, animation = _parameters(node, frames)
    style, style_digest = _style(node)
    server = (node["server"].value() or "").strip()
    return Plan(
        identity=node["identity"].value(),
        name=node.name(),
        folders=folders,
        views=_views(node),
        render=RenderArguments(
            folders.plates, folders.painted, style, frames, params, animation, input_space=_space(node), server=server
        ),
        style_digest=style_digest,
        # A server of this machine sees the same files under the same names.
        shared=SharedFolder.parse(node["shared"].value() or "") if server else None,
        # Without the channel a Write fills in black, and black alpha would mean that there is no picture.
        alpha=bool(node["use_alpha"].value()) and "rgba.alpha" in plate.channels(),
        graph=digest_above(node),
    )


def folders_of(node: nuke.Node) -> Folders:
    """Where the node keeps its pictures. Reads no other node."""
    temporary = os.environ.get("NUKE_TEMP_DIR", "")
    return Folders(folder_of_node(_file(node, "scratch"), _script(), node["identity"].value(), temporary))


def shown_frames(node: nuke.Node) -> ShownFrames:
    """What the node shows now."""
    pattern = local_path(inner_read(node)["file"].value() or "")
    return ShownFrames(bool(node["ready"].value()), settings_of(pattern), pattern)


def shown_range(node: nuke.Node) -> FrameSpan:
    """The frames of its Read; beyond them the Read holds the first and the last."""
    read = inner_read(node)
    return FrameSpan(int(read["first"].value()), int(read["last"].value()))


def set_state(node: nuke.Node, text: str) -> None:
    """Write the state line of the node's panel: without a step of undo, and only where the text is new."""
    if node["impasto_state"].value() == text:
        return
    nuke.Undo.disable()
    try:
        node["impasto_state"].setValue(text)
    finally:
        nuke.Undo.enable()


def show_painted(node: nuke.Node, plan: Plan) -> None:
    """Let the node show the painted frames of a plan, as one step of undo."""
    read, root = inner_read(node), nuke.root()
    # Over the whole script, so that a frame that was not painted is an error of the Read and never silently black.
    first = min(plan.frames.first, root.firstFrame())
    last = max(plan.frames.last, root.lastFrame())
    undo = nuke.Undo()
    undo.begin("Impasto: show the painted frames")
    try:
        read["file"].setValue(to_printf(plan.folders.painted))
        for name, value in (("first", first), ("last", last), ("origfirst", first), ("origlast", last)):
            read[name].setValue(value)
        read["raw"].setValue(True)
        node["ready"].setValue(True)
    finally:
        undo.end()
    press(read, "reload")


def press(node: nuke.Node, button: str) -> None:
    """Press a button of a node."""
    cast("nuke.Script_Knob", node[button]).execute()


def _style(node: nuke.Node) -> tuple[str, str]:
    """Name or file of the style, and the digest of its weights where it is known here."""
    own = _file(node, "style_file")
    if not own:
        name = str(node["style"].value())
        return name, load_catalogue().digest_of_style(name)
    try:
        return own, digest_of_file(own)
    except OSError as error:
        raise BridgeError(
            f"expected a style file at '{own}', which failed: {error.strerror or error}; correct the knob 'own style'"
        ) from error


def _frames(node: nuke.Node, plate: nuke.Node) -> FrameList:
    chosen = node["range"].value()
    if chosen == "list":
        return FrameList.parse(node["list"].value() or "")
    if chosen == "custom":
        return FrameList.of(int(node["first"].value()), int(node["last"].value()))
    if chosen == "script":
        return FrameList.of(nuke.root().firstFrame(), nuke.root().lastFrame())
    found = plate.frameRange()
    return FrameList.of(found.first(), found.last())


def _parameters(node: nuke.Node, frames: FrameList) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    params: dict[str, float] = {}
    animation: dict[str, dict[int, float]] = {}
    for name in parameters_of(node):
        knob = node.knob(name)
        if knob is None or name in LIVE:
            continue
        if not (knob.isAnimated() or knob.hasExpression()):
            params[name] = float(knob.value())
            continue
        values = {frame: float(knob.getValueAt(frame)) for frame in frames.numbers()}
        value, moves = constant_or_curve(values)
        if moves:
            animation[name] = values
        else:
            params[name] = value
    # The node applies these itself, after the painted picture.
    params.update(dict.fromkeys(LIVE, 1.0))
    return params, animation


def _views(node: nuke.Node) -> tuple[str, ...]:
    there = nuke.views()
    chosen = (node["views"].value() or "").replace(",", " ").split() or there
    unknown = [view for view in chosen if view not in there]
    if unknown:
        raise BridgeError(
            "expected views of this script ({}), got '{}'; correct the knob views".format(", ".join(there), unknown[0])
        )
    return tuple(chosen)


def _space(node: nuke.Node) -> str:
    chosen = str(node["plate_space"].value())
    if chosen != AS_THE_SCRIPT:
        return chosen
    knob = nuke.root().knob("workingSpaceLUT")
    return space_of("" if knob is None else str(knob.value()), where="the project settings")


def _file(node: nuke.Node, knob: str) -> str:
    return cast("nuke.File_Knob", node[knob]).getEvaluatedValue() or ""


def _script() -> str:
    """Path of the script, '' before it is saved."""
    name = nuke.root().name()
    return name if os.path.isabs(name) else ""
