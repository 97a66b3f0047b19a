"""The command line as one Typer application, built from one table of commands.

Only the file of the command that was asked for is imported, so that `impasto --help` comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from inspect import cleandoc
from typing import Annotated

import typer

from impasto.hosts.terminal.exit_codes import exit_code_table

HELP = "A painter's style on a shot: a plate in, a painted plate out."
EPILOG = f"Exit codes\n\n\b\n{exit_code_table()}"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A function that is the second word of a command."""

    name: str
    module: str
    """Below `impasto.hosts.terminal`, as everywhere in the table."""
    function: str = ""
    """The command's name by default."""


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A row of the table: a function of a module, or a group of subcommands."""

    name: str
    summary: str
    """The line in `impasto --help`; equal to the first sentence of the function's docstring."""
    module: str = ""
    subcommands: tuple[Subcommand, ...] = ()
    epilog: str | None = None

    def add_to(self, app: typer.Typer) -> None:
        """Import the command and add it to the application."""
        if not self.subcommands:
            _add(app, Subcommand(self.name, self.module), self.epilog)
            return
        group = typer.Typer(help=self.summary)
        for each in self.subcommands:
            _add(group, each)
        app.add_typer(group, name=self.name)


COMMANDS: tuple[CommandEntry, ...] = (
    CommandEntry("render", "Paint a shot with a style.", "render.command", epilog=EPILOG),
    CommandEntry("watch", "Paint what is rendered into a folder.", "watch.command"),
    CommandEntry("styles", "List the styles with size, halo, licence and credit.", "style.listing"),
    CommandEntry(
        "style",
        "Look into a style, compare two, or export one.",
        subcommands=(
            Subcommand("show", "style.command"),
            Subcommand("compare", "style.command"),
            Subcommand("export", "style.command"),
        ),
    ),
    CommandEntry("sheet", "Draw a contact sheet of a shot: the plate above, the result below.", "render.sheet"),
    CommandEntry(
        "train",
        "Make a style.",
        subcommands=(
            Subcommand("keyframes", "train.keyframes"),
            Subcommand("painting", "train.painting"),
            Subcommand("pairs", "train.pairs"),
            Subcommand("domains", "train.domains"),
            Subcommand("enhance", "train.enhance"),
            Subcommand("teach", "train.painting"),
            Subcommand("tune", "train.tune"),
        ),
    ),
    CommandEntry("serve", "Run the render server until Ctrl-C.", "server.serve"),
    CommandEntry("status", "Show how the render server is.", "server.status"),
    CommandEntry("stop", "End the server once what runs is finished.", "server.stop"),
    CommandEntry(
        "auth",
        "Say who may use a server over the network.",
        subcommands=(
            Subcommand("new", "server.auth"),
            Subcommand("add", "server.auth"),
            Subcommand("revoke", "server.auth"),
            Subcommand("trust", "server.auth"),
            Subcommand("list", "server.auth", "show"),
        ),
    ),
    CommandEntry(
        "blender",
        "Put the extension into Blender, or pack it into a file.",
        subcommands=(
            Subcommand("install", "install.blender"),
            Subcommand("package", "install.blender"),
            Subcommand("uninstall", "install.blender"),
        ),
    ),
    CommandEntry(
        "resolve",
        "Put the script into DaVinci Resolve, or run it.",
        subcommands=(
            Subcommand("install", "install.resolve"),
            Subcommand("uninstall", "install.resolve"),
            Subcommand("run", "install.resolve"),
            Subcommand("jobs", "install.resolve"),
        ),
    ),
    CommandEntry(
        "nuke",
        "Put the node into Nuke, or take it out.",
        subcommands=(
            Subcommand("install", "install.nuke"),
            Subcommand("uninstall", "install.nuke"),
            Subcommand("live", "install.nuke"),
        ),
    ),
    CommandEntry("doctor", "Check the installation and say what to do.", "doctor"),
)


def application(arguments: Sequence[str]) -> typer.Typer:
    """All commands. The one that `arguments` begin with can be run; the others have their summary alone.

    Errors of a command come out as exceptions; `impasto.hosts.terminal.app` prints them.
    """
    app = typer.Typer(
        help=HELP,
        epilog=EPILOG,
        add_completion=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(about)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for entry in COMMANDS:
        if entry.name == asked:
            entry.add_to(app)
        else:
            app.command(entry.name, help=entry.summary)(_not_asked)
    return app


def show_version(asked: bool) -> None:
    """Print the version and leave, where it was asked for."""
    if asked:
        typer.echo(f"impasto {version('impasto')}")
        raise typer.Exit


def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """A painter's style on a shot: a plate in, a painted plate out."""


def flowing(text: str | None) -> str:
    """A docstring with each paragraph on one line, so that a terminal of any width can break it."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _add(app: typer.Typer, command: Subcommand, epilog: str | None = None) -> None:
    module = import_module(f"impasto.hosts.terminal.{command.module}")
    function: Callable[..., None] = getattr(module, command.function or command.name)
    app.command(command.name, help=flowing(function.__doc__), epilog=epilog)(function)


def _not_asked() -> None:
    raise AssertionError("a command ran that the arguments do not begin with")
