"""Options made from the tables of parameters, so that ranges and help texts are written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS
from impasto.core.params import PARAMETERS, Parameter

Command = TypeVar("Command", bound=Callable[..., None])

RESIZE_HELP = "A size as 50%, 1280x720, 1280x or x720."
PANELS = {"": "What the style does", "before_": "Before the network", "after_": "After the network"}


def with_controls(command: Command) -> Command:
    """Give a command with a last parameter `**controls` one option for each row of the tables.

    An option that is not given is None. The help states the range; the range is checked where the value is used, so
    that every host reports the same error.
    """
    options = [
        *_options("", PARAMETERS),
        *_options("before_", BEFORE_CONTROLS),
        _resize("before_"),
        *_options("after_", AFTER_CONTROLS),
        _resize("after_"),
    ]
    return _with_options(command, options)


def with_parameters(command: Command) -> Command:
    """As `with_controls`, for the parameters of the style alone."""
    return _with_options(command, _options("", PARAMETERS))


def with_live_controls(command: Command) -> Command:
    """As `with_controls`, for the parameters of the style and the grade before it, whose size stays."""
    return _with_options(command, [*_options("", PARAMETERS), *_options("before_", BEFORE_CONTROLS)])


def _with_options(command: Command, options: list[inspect.Parameter]) -> Command:
    own = [
        each
        for each in inspect.signature(command, eval_str=True).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    # Typer reads this attribute, as every introspection does.
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


def given(prefix: str, table: Iterable[Parameter], controls: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of the options of a table that were given."""
    return {each.name: controls[prefix + each.name] for each in table if controls.get(prefix + each.name) is not None}


def _options(prefix: str, table: Iterable[Parameter]) -> list[inspect.Parameter]:
    return [
        _option(prefix + each.name, float, each.help, f"{each.minimum:g}..{each.maximum:g}", PANELS[prefix])
        for each in table
    ]


def _resize(prefix: str) -> inspect.Parameter:
    return _option(f"{prefix}resize", str, RESIZE_HELP, "SIZE", PANELS[prefix])


def _option(name: str, kind: Any, text: str, metavar: str, panel: str) -> inspect.Parameter:
    info = typer.Option(f"--{name.replace('_', '-')}", help=text, metavar=metavar, rich_help_panel=panel)
    annotation: Any = Annotated[kind | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
