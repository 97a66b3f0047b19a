"""The options of `impasto render` for commands that are about a shot too: the same names, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from impasto.hosts.terminal.render.command import render
from impasto.hosts.terminal.render.job import job_from
from impasto.hosts.terminal.render.preset import with_preset

if TYPE_CHECKING:
    from impasto.core.media.shot import FrameRange

Command = TypeVar("Command", bound=Callable[..., None])

OF_THE_RUN = frozenset(
    {
        "overwrite",
        "resume",
        "local",
        "server",
        "server_key",
        "json",
        "encoder_speed",
        "sound",
        "device",
        "tile",
        "no_cache",
    }
)
"""Options that do not change what a frame of a sequence is."""


def with_render_options(*left_out: str) -> Callable[[Command], Command]:
    """Give a command with a last parameter `**options` the options of `render`, but those left out."""

    def changed(command: Command) -> Command:
        given = inspect.signature(command, eval_str=True).parameters.values()
        own = [each for each in given if each.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {each.name for each in own} | {*left_out, "input", "output"}
        shared = [each for name, each in parameters().items() if name not in names]
        keyword = inspect.Parameter.KEYWORD_ONLY
        every = [each.replace(kind=keyword) for each in (*own, *shared)]
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # Typer reads it
        return command

    return changed


def arguments_of(options: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Options of `render` as they are typed: ('--strength', '0.8'), ('--resume',); without those at their default."""
    found: list[tuple[str, ...]] = []
    for name, parameter in parameters().items():
        value = options.get(name)
        if value is None or value == parameter.default:
            continue
        typed = f"--{name.replace('_', '-')}"
        if value is True:
            found.append((typed,))
        else:
            found += [(typed, str(each)) for each in (value if isinstance(value, list | tuple) else [value])]
    return found


def with_look(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those of the preset that they name in its place. Raises as `with_preset`."""
    others = {name: value for name, value in options.items() if name not in ("preset", "style")}
    style, looks = with_preset(options.get("preset"), options.get("style"), others)
    return {**looks, "style": style}


def job_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as `job_from` takes them: controls of the tables by themselves, files of guides as a tuple."""
    own = inspect.signature(job_from).parameters.keys() - {"controls", "input", "output", "farm_job", "note"}
    known = {name: options[name] for name in own - OF_THE_RUN | {"tile", "device"} if options.get(name) is not None}
    controls = {name: value for name, value in options.items() if name not in {*own, *OF_THE_RUN, "job"}}
    lists = {name: tuple(options.get(name) or ()) for name in ("guides", "drive")}
    return {**known, **lists, "controls": controls}


def runs_of(options: Mapping[str, Any]) -> list[FrameRange]:
    """The ranges of `--frames`, none for the whole shot. UsageError for what is no list of frames."""
    from impasto.core.media.frame_list import parse_frame_list

    return [] if options.get("frames") is None else list(parse_frame_list(options["frames"]))


def parameters() -> Mapping[str, inspect.Parameter]:
    """The parameters of `impasto render`, controls of the tables among them."""
    return inspect.signature(render).parameters


Output = typer.Argument(metavar="OUT", help="The painted sequence: a pattern or its folder.")
