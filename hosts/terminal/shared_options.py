"""Options that several commands share, written once: a dataclass whose fields become options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_type_hints


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every field of its one dataclass parameter as a parameter of its own, behind the others.

    Typer reads the signature that comes of it, and the command gets the dataclass.
    """
    hints = get_type_hints(command, include_extras=True)
    hints.pop("return", None)
    (name,) = [name for name, kind in hints.items() if is_dataclass(kind)]
    shared: Any = hints.pop(name)
    own = inspect.signature(command).parameters
    fields = inspect.signature(shared).parameters
    kinds = get_type_hints(shared, include_extras=True)
    flat = [
        *(own[each].replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY) for each, kind in hints.items()),
        *(field.replace(annotation=kinds[each], kind=inspect.Parameter.KEYWORD_ONLY) for each, field in fields.items()),
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{name: shared(**{each: given.pop(each) for each in fields})}, **given)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]  # which is what inspect looks for
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return run
