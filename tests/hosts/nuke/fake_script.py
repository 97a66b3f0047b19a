"""The script that the fake Nuke has open: its nodes, time, undo, and how a Write renders.

Documented: nuke.execute blocks, runs the callbacks of Write nodes before the render and before each frame with
nuke.thisNode() at the Write, and stops at what a callback raises; Cancel ends it with RuntimeError; a disabled Write is
refused; proxy mode halves what is written. Assumed: the words of those errors; that an edit outside begin and end is a
step of undo of its own; that a render inside a render is refused; that the code of a group's button and callbacks runs
inside the group, as artists tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.hosts.nuke.fake_knobs import Boolean_Knob, Enumeration_Knob, Int_Knob, Knob, PyScript_Knob
from tests.hosts.nuke.fake_nodes import Group, Node, Picture, exr_knobs, picture_of, write_picture

Call = Callable[..., Any]


class Root(Group):
    """The script as a node: range, proxy, working space."""

    def __init__(self, script: Any) -> None:
        super().__init__("Group", script)
        self._knobs["name"]._value = "Root"
        spaces = ["linear", "ACES - ACEScg", "scene_linear (Utility - Linear - sRGB)", "Studio Log"]
        for knob in (
            Int_Knob("first_frame"), Int_Knob("last_frame"), Boolean_Knob("proxy"),
            Enumeration_Knob("workingSpaceLUT", None, spaces),
        ):  # fmt: skip
            self._add(knob)

    def firstFrame(self) -> int:
        return int(self["first_frame"].value())

    def lastFrame(self) -> int:
        return int(self["last_frame"].value())


class FrameRange:
    """The frame range of a node."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def first(self) -> int:
        return self._first

    def last(self) -> int:
        return self._last


class Script:
    """All state of one session."""

    def __init__(self, *, gui: bool) -> None:
        self.GUI = gui
        self.now, self.view, self.views = 1, "main", ["main"]
        self.inside: list[Any] = []
        self.this: list[Any] = []
        self.this_knob: Any = None
        self.main_names: dict[str, Any] = {}
        """The names of the script editor, among which buttons run."""
        self.callbacks: dict[str, list[tuple[Call, tuple[Any, ...], str]]] = {}
        self.executing = False
        self.on_frame: Call = lambda number: None
        """Called before each frame, so that a test can act during a render."""
        self.rendered: list[tuple[str, int, str]] = []
        self._children: list[Node] = []
        self._selected: Node | None = None
        self._undo: list[list[Callable[[], None]]] = []
        self._open: list[Callable[[], None]] | None = None
        self._recording = 0
        self.root = Root(self)
        self._recording = 1

    def children(self, group: Any) -> list[Node]:
        return [each for each in self._children if each._parent is group]

    def make(self, kind: str, name: str = "") -> Node:
        parent = self.inside[-1] if self.inside else self.root
        node = Group(kind, self, parent) if kind == "Group" else Node(kind, self, parent)
        self._children.append(node)
        with self.unrecorded():
            node.setName(name or f"{kind}1")
        self.changed(None, lambda: self._children.remove(node))
        return node

    def select(self, node: Node, selected: bool) -> None:
        self._selected = node if selected else None

    def delete(self, node: Node) -> None:
        self._children.remove(node)

    def create(self, kind: str) -> Node:
        below = self._selected
        node = self.make(kind)
        if below is not None:
            node.setInput(0, below)
        self._selected = node
        self.call("onCreate", node)
        return node

    def copied(self, node: Node) -> Node:
        """A pasted copy of a group with all that is in it, its callbacks run."""
        copy = self._twin(node, self.root)
        copy._inputs = dict(node._inputs)
        self.call("onCreate", copy)
        return copy

    def _twin(self, node: Node, parent: Any) -> Node:
        with self.unrecorded():
            self.inside.append(parent)
            copy = self.make(node.Class(), node.name())
            self.inside.pop()
            for name, knob in node._knobs.items():
                if name not in copy._knobs:
                    again = object.__new__(type(knob))
                    again.__dict__.update(knob.__dict__)
                    again._keys = dict(knob._keys)
                    copy._add(again)
                elif name != "name":
                    copy._knobs[name]._value = knob._value
                    copy._knobs[name]._keys, copy._knobs[name]._expression = dict(knob._keys), knob._expression
            twins = {each: self._twin(each, copy) for each in self.children(node)}
            for each, twin in twins.items():
                twin._inputs = {index: twins[fed] for index, fed in each._inputs.items()}
        return copy

    def changed(self, knob: Knob | None, back: Callable[[], None]) -> None:
        if knob is not None and knob._name == "file_type" and knob._value == "exr":
            for each in exr_knobs():
                if each._name not in knob._node._knobs:
                    knob._node._add(each)
        if self._recording > 0:
            if self._open is None:
                self._undo.append([back])
            else:
                self._open.append(back)
        if knob is not None and knob._node._parent is self.root and knob._name != "name":
            self.this_knob = knob
            self.call("knobChanged", knob._node)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        self._recording -= 1
        try:
            yield
        finally:
            self._recording += 1

    def begin(self) -> None:
        assert self._open is None, "a step of undo was begun inside another"
        self._open = []

    def end(self) -> None:
        assert self._open is not None
        if self._open:
            self._undo.append(self._open)
        self._open = None

    @property
    def steps(self) -> int:
        return len(self._undo)

    def undo(self) -> None:
        with self.unrecorded():
            for back in reversed(self._undo.pop()):
                back()

    def tell_knob(self, node: Node, name: str) -> None:
        """The names that Nuke gives instead of a knob's."""
        self.this_knob = Knob(name)
        self.call("knobChanged", node)

    def call(self, kind: str, node: Any) -> None:
        with self.context(node):
            for call, arguments, wanted in self.callbacks.get(kind, []):
                if wanted in ("*", node.Class()):
                    call(*arguments)

    @contextmanager
    def context(self, node: Any) -> Iterator[None]:
        """What runs for a group runs inside it."""
        self.this.append(node)
        self.inside.append(node if isinstance(node, Group) else node._parent)
        try:
            yield
        finally:
            self.inside.pop()
            self.this.pop()

    def run_button(self, node: Node, knob: Any) -> None:
        if not isinstance(knob, PyScript_Knob):
            return  # a Read reads its files at every look
        with self.context(node):
            exec(knob.command(), self.main_names)

    def evaluate_expression(self, text: str, node: Node) -> float:
        words = {"$gui": str(int(self.GUI))}

        def value(match: re.Match[str]) -> str:
            knob = node._parent._knobs[match[1]]
            return repr(float(knob.getValue() if isinstance(knob, Enumeration_Knob) else knob.value()))

        said = re.sub(r"parent\.(\w+)", value, text)
        for word, meaning in words.items():
            said = said.replace(word, meaning)
        said = said.replace("&&", " and ").replace("||", " or ").replace("!0", "1").replace("!1", "0")
        assert re.fullmatch(r"[\d.\s()=<>a-z-]+", said), f"the fake cannot evaluate {text}"
        return float(eval(said, {"__builtins__": {}}))

    def picture(self, node: Node, frame: int) -> Picture:
        now = self.now
        self.now = frame
        try:
            return picture_of(node, frame, self.picture)
        finally:
            self.now = now

    def range_of(self, node: Any) -> FrameRange:
        if node.Class() == "Read":
            return FrameRange(node["first"].value(), node["last"].value())
        return self.range_of(node.parent().input(node["number"].value()) if node.Class() == "Input" else node.input(0))

    def first_frame_of(self, node: Any) -> int:
        return self.range_of(node).first()

    def execute(self, node: Node, start: int, end: int, incr: int, views: list[str]) -> None:
        if self.executing:
            raise RuntimeError("I'm already executing something else")
        if node["disable"].value():
            raise RuntimeError(f"{node.fullName()} is disabled")
        self.executing = True
        before = self.now, self.view
        try:
            self.view = views[0]
            self.call("beforeRender", node)
            for view in views:
                for number in range(start, end + 1, incr):
                    self.now, self.view = number, view
                    self.call("beforeFrameRender", node)
                    self.on_frame(number)
                    picture = self.picture(node, number)
                    write_picture(node, picture, number, bool(self.root["proxy"].value()))
                    self.rendered.append((node.fullName(), number, view))
        finally:
            self.executing = False
            self.now, self.view = before
