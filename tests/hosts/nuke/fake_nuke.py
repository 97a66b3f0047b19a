"""A stand-in for the module `nuke`, strict: what is not in it raises, and what is in it is in the public stubs.

Documented: every call but ProgressTask, executeInMainThread and executeInMainThreadWithResult belongs to the main
thread; executeInMainThread returns at once, the other waits for the answer; both are served when the main thread is
free. Assumed: executeInMainThreadWithResult from the main thread never returns (here: an error), and gives None where
the call raised.
"""

from __future__ import annotations

import queue
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from tests.hosts.nuke import fake_knobs, fake_nodes
from tests.hosts.nuke.fake_knobs import WrongThread
from tests.hosts.nuke.fake_script import Call, Root, Script

KNOBS = (
    "Knob", "Array_Knob", "Double_Knob", "Int_Knob", "Boolean_Knob", "Enumeration_Knob", "String_Knob", "File_Knob",
    "EvalString_Knob", "Script_Knob", "PyScript_Knob", "Tab_Knob", "Channel_Knob", "Disable_Knob",
)  # fmt: skip
FLAGS = ("INVISIBLE", "STARTLINE", "READ_ONLY", "WRITE_NON_DEFAULT_ONLY", "TO_SCRIPT", "INPUTS")


class ProgressTask:
    """A bar; kept here so that a test can look at it and press its Cancel."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.messages: list[str] = []
        self.shares: list[int] = []
        self.pressed = False
        SHOWN.append(self)

    def setProgress(self, i: int) -> None:
        assert isinstance(i, int)
        assert 0 <= i <= 100
        self.shares.append(i)

    def setMessage(self, s: str) -> None:
        self.messages.append(s)

    def isCancelled(self) -> bool:
        return self.pressed


SHOWN: list[ProgressTask] = []


class Menu:
    """A menu with its entries."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def addMenu(self, name: str) -> Menu:
        return self.entries.setdefault(name, Menu())

    def addCommand(self, name: str, command: Any) -> None:
        self.entries[name] = command


class FakeNuke(types.ModuleType):
    """The module of one session; a test reaches its state by `script`."""

    def __init__(self, *, gui: bool = True) -> None:
        super().__init__("nuke")
        SHOWN.clear()
        self.script = script = Script(gui=gui)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.answer = True
        self.filters: Callable[[str], str] = lambda name: name
        self.menus = {"Nodes": Menu()}
        self.plugin_paths: list[str] = []
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue()
        self.GUI = gui
        self.Node, self.Group, self.Root = fake_nodes.Node, fake_nodes.Group, Root
        self.ProgressTask = ProgressTask
        self.nodes = _Nodes(script)
        script.main_names["nuke"] = self
        self.Undo = _undo_of(script)
        for name in KNOBS:
            setattr(self, name, getattr(fake_knobs, name))
        for bit, name in enumerate(FLAGS):
            setattr(self, name, 1 << bit)

    def __getattribute__(self, name: str) -> Any:
        if name in MAIN_ONLY and threading.current_thread() is not threading.main_thread():
            raise WrongThread(f"nuke.{name} was used on thread '{threading.current_thread().name}'")
        return super().__getattribute__(name)

    def createNode(self, typ: str, knobs: str = "", inpanel: bool = True) -> Any:
        return self.script.create(typ)

    def allNodes(self, filter: str = "", group: Any = None, recurseGroups: bool = False) -> list[Any]:
        within = group or (self.script.inside[-1] if self.script.inside else self.script.root)
        found = fake_nodes.inside(self.script, within) if recurseGroups else self.script.children(within)
        return [each for each in found if filter in ("", each.Class())]

    def selectedNode(self) -> Any:
        if self.script._selected is None:
            raise ValueError("no node selected")
        return self.script._selected

    def filenameFilter(self, filename: str) -> str:
        return self.filters(filename)

    def root(self) -> Any:
        return self.script.root

    def thisNode(self) -> Any:
        return self.script.this[-1]

    def thisKnob(self) -> Any:
        return self.script.this_knob

    def thisView(self) -> str:
        return self.script.view

    def views(self) -> list[str]:
        return list(self.script.views)

    def frame(self) -> int:
        return self.script.now

    def executing(self) -> bool:
        return self.script.executing

    def execute(self, nameOrNode: Any, start: int, end: int, incr: int = 1, views: Any = None) -> None:
        self.script.execute(nameOrNode, start, end, incr, views or ["main"])

    def message(self, prompt: str) -> None:
        assert self.GUI, "there is no window for a message"
        self.said.append(prompt)

    def ask(self, prompt: str) -> bool:
        assert self.GUI, "there is no window for a question"
        self.asked.append(prompt)
        return self.answer

    def tprint(self, *args: Any) -> None:
        self.said.append(" ".join(map(str, args)))

    def menu(self, name: str) -> Menu:
        assert self.GUI, "there is no menu without a window"
        return self.menus[name]

    def pluginAddPath(self, args: str, addToSysPath: bool = True) -> None:
        self.plugin_paths.append(args)

    def executeInMainThread(self, call: Call, args: Any = (), kwargs: Any = None) -> None:
        self._waiting.put(lambda: call(*args, **(kwargs or {})))

    def executeInMainThreadWithResult(self, call: Call, args: Any = (), kwargs: Any = None) -> Any:
        if threading.current_thread() is threading.main_thread():
            raise WrongThread("executeInMainThreadWithResult waits for the main thread, and this is it")
        done: queue.Queue[Any] = queue.Queue()

        def run() -> None:
            answer = None
            try:
                answer = call(*args, **(kwargs or {}))
            finally:
                done.put(answer)

        self._waiting.put(run)
        return done.get(timeout=60)

    def pump(self, until: Callable[[], Any], limit_s: float = 60.0) -> None:
        """Be the idle main thread: serve waiting calls until a condition holds."""
        end = time.monotonic() + limit_s
        while not until():
            assert time.monotonic() < end, f"nothing came of it; Nuke said {self.said}"
            try:
                self._waiting.get(timeout=0.02)()
            except queue.Empty:
                continue

    def __getattr__(self, name: str) -> Any:
        kind = name.removeprefix("add")
        if name.startswith("add") and kind in CALLBACKS:
            return lambda call, args=(), kwargs=None, nodeClass="*": self._add(kind, call, args, nodeClass)
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(f"the fake does not know nuke.{name}")

    def _add(self, kind: str, call: Call, args: Any, node_class: str) -> None:
        name = kind[0].lower() + kind[1:]
        self.script.callbacks.setdefault(name, []).append((call, tuple(args), node_class))


CALLBACKS = ("OnCreate", "OnScriptLoad", "KnobChanged", "BeforeRender", "BeforeFrameRender")
MAIN_ONLY = {
    *(
        "createNode",
        "allNodes",
        "selectedNode",
        "filenameFilter",
        "root",
        "thisNode",
        "thisKnob",
        "thisView",
        "views",
        "frame",
        "executing",
        "execute",
    ),
    *("message", "ask", "tprint", "menu", "pluginAddPath", "nodes", "Undo", *(f"add{kind}" for kind in CALLBACKS)),
}


class _Nodes:
    """nuke.nodes: a constructor for each class."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        def make(name: str = "", **values: Any) -> Any:
            node = self._script.make(kind, name)
            for knob, value in values.items():
                node[knob].setValue(value)
            return node

        return make


def _undo_of(script: Script) -> type:
    class Undo:
        def begin(self, name: str = "") -> None:
            script.begin()

        def end(self) -> None:
            script.end()

        @staticmethod
        def disable() -> None:
            script._recording -= 1

        @staticmethod
        def enable() -> None:
            script._recording += 1

    return Undo
