"""What the public stubs of Nuke (types-nuke) know: classes, methods, functions, and how many arguments each takes."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

FILES = ("_nuke.pyi", "callbacks.pyi", "executeInMain.pyi", "overrides.pyi", "utils.pyi", "scripts.pyi")


@dataclass
class Arity:
    """How many positional arguments a call takes (`most` None for any number), and the names of arguments."""

    least: int
    most: int | None
    names: set[str] = field(default_factory=set)


@dataclass
class StubClass:
    """A class of the stubs with its own methods; inherited ones are in the bases."""

    bases: list[str]
    methods: dict[str, list[Arity]] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)


@dataclass
class Stubs:
    """Everything that `import nuke` offers by the stubs."""

    classes: dict[str, StubClass]
    functions: dict[str, list[Arity]]
    values: set[str]

    def methods_of(self, name: str) -> dict[str, list[Arity]]:
        """Methods of a class, those of its bases included."""
        found: dict[str, list[Arity]] = {}
        for base in self.classes[name].bases:
            if base in self.classes:
                found |= self.methods_of(base)
        return found | self.classes[name].methods


@lru_cache
def stubs() -> Stubs:
    """The stubs that are installed here."""
    found = Stubs({}, {}, set())
    for file in distribution("types-nuke").files or []:
        if file.name in FILES and str(file.parent) == "nuke-stubs":
            _read(ast.parse(Path(str(file.locate())).read_text(encoding="utf-8")), found)
    assert len(found.classes) > 50, "the stubs are not where they are looked for"
    return found


def _read(tree: ast.Module, found: Stubs) -> None:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            known = found.classes[node.name] = StubClass(bases)
            for each in node.body:
                if isinstance(each, ast.FunctionDef):
                    known.methods.setdefault(each.name, []).append(_arity(each, bound=True))
                elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    known.attributes.add(each.target.id)
        elif isinstance(node, ast.FunctionDef):
            found.functions.setdefault(node.name, []).append(_arity(node, bound=False))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.values.add(node.target.id)


def _arity(node: ast.FunctionDef, *, bound: bool) -> Arity:
    words = [*node.args.posonlyargs, *node.args.args][1 if bound else 0 :]
    least = max(len(words) - len(node.args.defaults), 0)
    return Arity(least, None if node.args.vararg else len(words), {word.arg for word in words})
