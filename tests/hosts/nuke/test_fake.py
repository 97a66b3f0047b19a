"""The fake against the public stubs: it offers nothing that they do not have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.hosts.nuke import fake_knobs, fake_nodes, fake_script
from tests.hosts.nuke.fake_nuke import CALLBACKS, FLAGS, KNOBS, MAIN_ONLY, FakeNuke, Menu, ProgressTask
from tests.hosts.nuke.stubs import Arity, stubs

BEHIND_THE_SCENES = {"script", "pump"}
CLASSES: dict[str, type] = {
    **{name: getattr(fake_knobs, name) for name in KNOBS},
    "Node": fake_nodes.Node,
    "Group": fake_nodes.Group,
    "Root": fake_script.Root,
    "ProgressTask": ProgressTask,
    "Menu": Menu,
    "FrameRange": fake_script.FrameRange,
    "Undo": FakeNuke().Undo,
}


def accepts(call: Callable[..., Any], arities: list[Arity], *, bound: bool) -> bool:
    """Whether a signature in the stubs covers the arguments of the fake."""
    words = list(inspect.signature(call).parameters.values())[1 if bound else 0 :]
    least = sum(1 for word in words if word.default is inspect.Parameter.empty and word.kind is not word.VAR_POSITIONAL)
    most = len(words)
    return any(arity.most is None or (least <= arity.most and most <= arity.most) for arity in arities)


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_of_the_fake_is_in_the_stubs(name: str) -> None:
    known = stubs().methods_of(name)
    for method, call in inspect.getmembers(CLASSES[name], callable):
        if method.startswith("_"):
            continue
        assert method in known, f"the stubs have no {name}.{method}"
        static = isinstance(inspect.getattr_static(CLASSES[name], method), staticmethod)
        assert accepts(call, known[method], bound=not static), f"{name}.{method} takes other words in the stubs"


def test_every_function_of_the_fake_is_in_the_stubs() -> None:
    for name in sorted(MAIN_ONLY - {"nodes", "Undo"} | {"executeInMainThread", "executeInMainThreadWithResult"}):
        assert name in stubs().functions, f"the stubs have no nuke.{name}"
        if name.removeprefix("add") not in CALLBACKS and name != "allNodes":
            assert accepts(getattr(FakeNuke, name), stubs().functions[name], bound=True), name


def test_the_flags_are_in_the_stubs() -> None:
    assert {*FLAGS, "GUI", "nodes"} <= stubs().values


def test_what_the_fake_does_not_know_raises() -> None:
    nuke = FakeNuke()
    with pytest.raises(NotImplementedError, match=r"nuke\.zoom"):
        _ = nuke.zoom
    with pytest.raises(NotImplementedError, match="Blur"):
        nuke.nodes.Blur()
    with pytest.raises(NameError, match="nope"):
        nuke.nodes.Dot()["nope"]
