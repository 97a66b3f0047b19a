"""What the public type stubs of Resolve's scripting interface know: classes, methods, and how many arguments they take.

The stubs (fusionscript-stubs) are made from the README that Resolve 21.0 ships. They are read as text, so that the fake
knows a name if and only if they do.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution

OPTIONAL_IN_THE_README = {
    ("TimelineItem", "GetStart"): 0,
    ("TimelineItem", "GetEnd"): 0,
    ("TimelineItem", "GetDuration"): 0,
    ("TimelineItem", "GetLeftOffset"): 0,
    ("TimelineItem", "GetRightOffset"): 0,
    ("Timeline", "AddTrack"): 1,
    ("MediaPool", "ImportMedia"): 1,
}
"""Least number of arguments where the stubs call for more: older READMEs know these methods without, and its own text
calls the second argument of AddTrack optional."""


@dataclass(frozen=True)
class Arity:
    """How many arguments a method takes, over all its overloads; `most` None for any number."""

    least: int
    most: int | None


@cache
def methods() -> dict[str, dict[str, Arity]]:
    """Class -> method -> arity."""
    return {name: _methods_of(node) for name, node in _classes().items() if not _is_dictionary(node)}


@cache
def keys() -> dict[str, frozenset[str]]:
    """Dictionary type -> its keys."""
    return {
        name: frozenset(
            each.target.id
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        )
        for name, node in _classes().items()
        if _is_dictionary(node)
    }


@cache
def _classes() -> dict[str, ast.ClassDef]:
    (path,) = [each for each in distribution("fusionscript-stubs").files or () if each.name == "fusionscript.pyi"]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _is_dictionary(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases)


def _methods_of(node: ast.ClassDef) -> dict[str, Arity]:
    found: dict[str, Arity] = {}
    for each in node.body:
        if not isinstance(each, ast.FunctionDef):
            continue
        given = each.args.args[1:]
        optional = len(each.args.defaults)
        while optional < len(given) and "Optional[" in ast.unparse(given[-1 - optional].annotation or ast.Constant("")):
            optional += 1
        most = None if each.args.vararg else len(given)
        arity = Arity(len(given) - optional, most)
        before = found.get(each.name)
        if before is not None:
            widest = None if None in (before.most, most) else max(before.most or 0, most or 0)
            arity = Arity(min(before.least, arity.least), widest)
        least = OPTIONAL_IN_THE_README.get((node.name, each.name), arity.least)
        found[each.name] = Arity(min(least, arity.least), arity.most)
    return found
