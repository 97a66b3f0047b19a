"""Nodes of the fake Nuke, and what each does with pictures.

Documented: classes, inputs, Copy with B first and A second, Dissolve between its inputs by `which`, Keymix with B, A,
and mask, Switch by number, a Group that shows its Output and takes as many inputs as it has Inputs in it, a disabled
node that passes its input, a Read that fails on a missing file with on_error at error and is black or held beyond its
range. Assumed: a Read without a name is black; a Switch asks only for the input that it shows; layers and metadata come
from the first input; Keymix mixes RGB by rgba.alpha of the mask; a Write of EXR puts alpha 0 where the input has none;
the names of the knobs that public scripts show. A knob that is not in the table of its class raises NameError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import OpenImageIO as oiio

from impasto.hosts.bridge.patterns import for_view, frame_path
from tests.hosts.nuke.fake_knobs import (
    Boolean_Knob,
    Channel_Knob,
    Disable_Knob,
    Double_Knob,
    Enumeration_Knob,
    File_Knob,
    Int_Knob,
    Knob,
    OnMain,
    PyScript_Knob,
    Script_Knob,
    String_Knob,
)

RGB = ("rgba.red", "rgba.green", "rgba.blue")
EXR_NAMES = {"R": "rgba.red", "G": "rgba.green", "B": "rgba.blue", "A": "rgba.alpha"}


@dataclass(frozen=True)
class Picture:
    """Channels, (H, W) float32 each, of the bounding box; where it begins, the format, and metadata."""

    channels: dict[str, np.ndarray]
    origin: tuple[int, int]
    format: tuple[int, int, int, int]
    """x, y, width, height, counted from the top as in the file."""
    metadata: dict[str, Any] = field(default_factory=dict)


def knobs_of(kind: str) -> list[Knob]:
    """The knobs of a class, beside those that every node has."""
    tables: dict[str, list[Knob]] = {
        "Group": [],
        "Dot": [],
        "Grade": [Double_Knob("white")],
        "Input": [Int_Knob("number")],
        "Output": [],
        "Switch": [Double_Knob("which")],
        "TimeOffset": [Int_Knob("time_offset")],
        "Dissolve": [Double_Knob("which"), Channel_Knob("channels")],
        "Keymix": [Channel_Knob("channels"), Channel_Knob("maskChannel"), Double_Knob("mix")],
        "Copy": [Channel_Knob(f"{end}{index}") for index in range(3) for end in ("from", "to")],
        "Read": [
            File_Knob("file"), Int_Knob("first"), Int_Knob("last"), Int_Knob("origfirst"), Int_Knob("origlast"),
            Boolean_Knob("raw"), Script_Knob("reload"),
            Enumeration_Knob("on_error", None, ["error", "black", "checkerboard", "nearest frame"]),
            Enumeration_Knob("before", None, ["hold", "loop", "bounce", "black"]),
            Enumeration_Knob("after", None, ["hold", "loop", "bounce", "black"]),
            Enumeration_Knob("localizationPolicy", None, ["fromAutoLocalizePath", "on", "off", "onDemand"]),
        ],
        "Write": [
            File_Knob("file"), Channel_Knob("channels"), Boolean_Knob("raw"), Boolean_Knob("create_directories"),
            Enumeration_Knob("file_type", None, [" ", "exr", "dpx", "jpeg", "png", "tiff"]),
        ],
    }  # fmt: skip
    if kind not in tables:
        raise NotImplementedError(f"the fake does not know the class {kind}")
    everyone = [
        Disable_Knob("disable"), String_Knob("label"), Int_Knob("xpos"), Int_Knob("ypos"), String_Knob("name"),
        Boolean_Knob("selected"),
    ]  # fmt: skip
    return [*tables[kind], *everyone]


def exr_knobs() -> list[Knob]:
    """What a Write gets when its file_type becomes exr."""
    return [
        Enumeration_Knob("datatype", None, ["16 bit half", "32 bit float"]),
        Enumeration_Knob("compression", None, ["Zip (16 scanlines)", "Zip (1 scanline)", "none"]),
        Enumeration_Knob("metadata", None, ["default metadata", "no metadata", "all metadata"]),
    ]


class Node(OnMain):
    """A node of a script."""

    _count = 0

    def __init__(self, kind: str, script: Any, parent: Any = None) -> None:
        self._kind, self._script, self._parent = kind, script, parent
        self._inputs: dict[int, Node] = {}
        self._shown = False
        self._knobs: dict[str, Knob] = {}
        for knob in knobs_of(kind):
            self._add(knob)

    def Class(self) -> str:
        return self._kind

    def name(self) -> str:
        return str(self._knobs["name"]._value)

    def fullName(self) -> str:
        parent = self._parent
        return (
            f"{parent.fullName()}.{self.name()}" if parent is not None and parent._parent is not None else self.name()
        )

    def setName(self, name: str, uncollide: bool = True) -> None:
        taken = {each.name() for each in self._script.children(self._parent) if each is not self}
        stem = name.rstrip("0123456789")
        number = 1
        while name in taken:
            assert uncollide, f"there is a node {name}"
            number += 1
            name = f"{stem}{number}"
        self._knobs["name"].setValue(name)

    def parent(self) -> Any:
        return self._parent

    def knob(self, p: str) -> Knob | None:
        return self._knobs.get(p)

    def knobs(self) -> dict[str, Knob]:
        return dict(self._knobs)

    def addKnob(self, knob: Knob) -> None:
        assert knob.name() not in self._knobs, f"{self.name()} has a knob {knob.name()}"
        self._add(knob)

    def _add(self, knob: Knob) -> None:
        knob._node = self
        self._knobs[knob._name] = knob

    def __getitem__(self, name: str) -> Knob:
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist in {self._kind}")
        return self._knobs[name]

    def input(self, index: int) -> Any:
        return self._inputs.get(index)

    def inputs(self) -> int:
        return max(self._inputs, default=-1) + 1

    def setInput(self, i: int, node: Any) -> bool:
        if not self._takes(i):
            return False
        before = dict(self._inputs)

        def back() -> None:
            self._inputs = before

        if node is None:
            self._inputs.pop(i, None)
        else:
            self._inputs = {**self._inputs, i: node}
        self._script.changed(None, back)
        self._script.tell_knob(self, "inputChange")
        return True

    def _takes(self, index: int) -> bool:
        return True

    def dependent(self, mask: int, forceEvaluate: bool = True) -> list[Node]:
        return [each for each in self._script.children(self._parent) if self in each._inputs.values()]

    def channels(self) -> list[str]:
        return list(self._script.picture(self, self._script.first_frame_of(self)).channels)

    def frameRange(self) -> Any:
        return self._script.range_of(self)

    def writeKnobs(self, flags: int = 0) -> str:
        assert flags, "without flags Nuke gives names alone"
        return "\n".join(knob._text() for knob in self._knobs.values() if not knob._is_default())

    def showControlPanel(self) -> None:
        assert self._script.GUI, "there is no window"
        self._shown = True
        self._script.tell_knob(self, "showPanel")

    def shown(self) -> bool:
        return self._shown

    def setSelected(self, selected: bool) -> None:
        self._script.select(self, selected)


class Group(Node):
    """A node with nodes in it."""

    def _takes(self, index: int) -> bool:
        return sum(1 for each in self.nodes() if each.Class() == "Input") > index

    def nodes(self) -> list[Node]:
        return self._script.children(self)

    def node(self, s: str) -> Node | None:
        return next((each for each in self.nodes() if each.name() == s), None)

    def begin(self) -> Group:
        self._script.inside.append(self)
        return self

    def end(self) -> None:
        assert self._script.inside.pop() is self

    def __enter__(self) -> Group:
        return self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()


def picture_of(node: Node, frame: int, asked: Any) -> Picture:
    """What a node shows at a frame; `asked` gives the picture of another node. RuntimeError as Nuke has it."""
    kind, knobs = node.Class(), node.knobs()
    if kind == "Read":
        return _read(node, frame)
    if kind == "Input":
        feeding = node.parent().input(int(node["number"].value()))
        if feeding is None:
            raise RuntimeError(f"{node.fullName()}: no input")
        return asked(feeding, frame)
    if knobs["disable"].value() or kind in ("Dot", "Write", "Output"):
        return asked(_fed(node, 0), frame)
    if kind == "Group":
        assert isinstance(node, Group)
        (out,) = (each for each in node.nodes() if each.Class() == "Output")
        return asked(out, frame)
    if kind == "Switch":
        return asked(_fed(node, int(node["which"].value())), frame)
    if kind == "TimeOffset":
        return asked(_fed(node, 0), frame - node["time_offset"].value())
    first = asked(_fed(node, 0), frame)
    if kind == "Grade":
        return replace(
            first, channels={**first.channels, **{name: first.channels[name] * node["white"].value() for name in RGB}}
        )
    if kind == "Copy":
        second = asked(_fed(node, 1), frame)
        copied = {node[f"to{index}"].value(): second.channels[node[f"from{index}"].value()] for index in range(3)}
        return replace(first, channels={**first.channels, **copied})
    if kind in ("Dissolve", "Keymix"):
        assert node["channels"].value() == "rgb"
        second = asked(_fed(node, 1), frame)
        if kind == "Dissolve":
            share: Any = node["which"].value()
        else:
            share = asked(_fed(node, 2), frame).channels[node["maskChannel"].value()]
        mixed = {name: first.channels[name] * (1 - share) + second.channels[name] * share for name in RGB}
        return replace(first, channels={**first.channels, **mixed})
    raise NotImplementedError(f"the fake does not know what a {kind} shows")


def black() -> Picture:
    """What a Read shows beyond its range, or without a name."""
    return Picture(dict.fromkeys((*RGB, "rgba.alpha"), np.zeros((40, 56), np.float32)), (0, 0), (0, 0, 56, 40))


def _fed(node: Node, index: int) -> Node:
    feeding = node.input(index)
    if feeding is None:
        raise RuntimeError(f"{node.fullName()}: input {index} is not connected")
    assert isinstance(feeding, Node)
    return feeding


def _read(node: Node, frame: int) -> Picture:
    pattern = for_view(node["file"].value(), node._script.view)
    first, last = node["first"].value(), node["last"].value()
    if not pattern or (frame < first and node["before"].value() == "black"):
        return black()
    if frame > last and node["after"].value() == "black":
        return black()
    path = frame_path(pattern, min(max(frame, first), last))
    if not os.path.exists(path):
        assert node["on_error"].value() == "error"
        raise RuntimeError(f"{node.fullName()}: {path}: Read error: No such file or directory")
    file = oiio.ImageInput.open(path)
    spec, pixels = file.spec(), file.read_image("float")
    file.close()
    names = [EXR_NAMES.get(name, name) for name in spec.channelnames]
    metadata = {each.name: each.value for each in spec.extra_attribs}
    channels = {name: pixels[..., index] for index, name in enumerate(names)}
    full = (spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    return Picture(channels, (spec.x, spec.y), full, metadata)


def write_picture(node: Node, picture: Picture, frame: int, proxy: bool) -> str:
    """Store what a Write is asked for as a real EXR; its path."""
    wanted = {"rgba": (*RGB, "rgba.alpha"), "rgb": RGB, "all": tuple(picture.channels)}[node["channels"].value()]
    height, width = picture.channels["rgba.red"].shape
    black = np.zeros((height, width), np.float32)
    pixels = np.stack([picture.channels.get(name, black) for name in wanted], axis=-1)
    if proxy:
        pixels = pixels[::2, ::2]  # a test that meets this has failed to switch it off
    path = frame_path(for_view(node["file"].value(), node._script.view), frame)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        assert node["create_directories"].value(), f"no folder {folder}"
        os.makedirs(folder)
    assert node["file_type"].value() == "exr"
    half = node["datatype"].value() == "16 bit half"
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], len(wanted), "half" if half else "float")
    back = {name: short for short, name in EXR_NAMES.items()}
    spec.channelnames = tuple(back.get(name, name) for name in wanted)
    spec.x, spec.y = picture.origin
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = picture.format
    spec["compression"] = "zips"
    if node["metadata"].value() == "all metadata":
        for name, value in picture.metadata.items():
            if isinstance(value, str | int | float) and ":" not in name:
                spec[name] = value
    file = oiio.ImageOutput.create(path)
    assert file.open(path, spec), file.geterror()
    assert file.write_image(np.ascontiguousarray(pixels)), file.geterror()
    file.close()
    return path


def inside(script: Any, group: Any) -> Iterator[Node]:
    """The nodes of a group and of all groups in it."""
    for node in script.children(group):
        yield node
        if isinstance(node, Group):
            yield from inside(script, node)


__all__ = ["Group", "Node", "Picture", "PyScript_Knob", "exr_knobs", "inside", "picture_of", "write_picture"]
