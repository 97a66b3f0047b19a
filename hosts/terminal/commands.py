"""The command line as one Typer application, built from one table of commands.

Only the file of the command that was asked for is imported, so that `impasto --help` comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from importlib import import_module
from inspect import cleandoc
from typing import Annotated

import typer

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.terminal.exit_codes import exit_code_table
from impasto.hosts.terminal.printer import say

HELP = "A painter's style on a shot: a plate in, a painted plate out."
EPILOG = f"Exit codes\n\n\b\n{exit_code_table()}"


@frozen_dataclass
class CommandEntry:
    """A row of the table: one function, or a group of subcommands."""

    name: str
    summary: str
    """The line in `impasto --help`, equal to the first paragraph of the function's docstring."""
    function: str = ""
    """'module:function', below `impasto.hosts.terminal`."""
    group: Mapping[str, str] = field(default_factory=dict)
    """Name -> function of the subcommands, instead of a function."""
    epilog: str | None = None

    def add_to(self, app: typer.Typer) -> None:
        """Import the command and add it to the application."""
        if not self.group:
            _add(app, self.name, self.function, self.epilog)
            return
        group = typer.Typer(help=self.summary)
        for name, function in self.group.items():
            _add(group, name, function)
        app.add_typer(group, name=self.name)


COMMANDS = (
    CommandEntry("render", "Paint a shot with a style.", "render.command:render", epilog=EPILOG),
    CommandEntry("drive", "Write an animation of parameters that follow sound.", "render.drive:drive"),
    CommandEntry("paint", "Paint frames in the way of a painting.", "paint.command:paint"),
    CommandEntry("submit", "Hand a shot to a farm, or run it here as a farm would.", "farm.submit:submit"),
    CommandEntry(
        "verify", "Say which frames of a result are missing, torn, stale or of another look.", "farm.verify:verify"
    ),
    CommandEntry("join", "Make a movie of painted frames, with sound and timecode.", "farm.join:join"),
    CommandEntry("watch", "Paint what is rendered into a folder.", "watch.command:watch"),
    CommandEntry("live", "Paint a camera, a stream or a movie as it comes.", "live.command:live"),
    CommandEntry("styles", "List the styles with size, halo and licence.", "style.listing:styles"),
    CommandEntry(
        "style",
        "Look into a style, compare two, or export one.",
        group={
            "show": "style.command:show",
            "compare": "style.command:compare",
            "export": "style.command:export",
        },
    ),
    CommandEntry("sheet", "Draw a contact sheet of a shot: the plate above, the result below.", "render.sheet:sheet"),
    CommandEntry(
        "train",
        "Make a style.",
        group={
            "keyframes": "train.keyframes:keyframes",
            "painting": "train.painting:painting",
            "pairs": "train.pairs:pairs",
            "domains": "train.domains:domains",
            "enhance": "train.enhance:enhance",
            "teach": "train.painting:teach",
            "tune": "train.tune:tune",
        },
    ),
    CommandEntry("serve", "Run the render server until Ctrl-C.", "server.serve:serve"),
    CommandEntry("web", "Open the pages of the render server: look, live, runs, server.", "web.command:web"),
    CommandEntry("status", "Show how the render server is.", "server.status:status"),
    CommandEntry("stop", "End the server once what runs is finished.", "server.stop:stop"),
    CommandEntry(
        "cache",
        "Look at the painted frames that are kept, or bound them.",
        group={
            "show": "server.cache:show",
            "clear": "server.cache:clear",
            "limit": "server.cache:limit",
        },
    ),
    CommandEntry(
        "auth",
        "Say who may use a server over the network.",
        group={
            "new": "server.auth:new",
            "add": "server.auth:add",
            "revoke": "server.auth:revoke",
            "trust": "server.auth:trust",
            "list": "server.auth:show",
        },
    ),
    CommandEntry(
        "blender",
        "Put the extension into Blender, or pack it into a file.",
        group={
            "install": "install.blender:install",
            "package": "install.blender:package",
            "uninstall": "install.blender:uninstall",
        },
    ),
    CommandEntry(
        "resolve",
        "Put the script into DaVinci Resolve, or run it.",
        group={
            "install": "install.resolve:install",
            "uninstall": "install.resolve:uninstall",
            "run": "install.resolve:run",
            "jobs": "install.resolve:jobs",
        },
    ),
    CommandEntry(
        "nuke",
        "Put the node into Nuke, or take it out.",
        group={
            "install": "install.nuke:install",
            "uninstall": "install.nuke:uninstall",
            "live": "install.nuke:live",
        },
    ),
    CommandEntry(
        "ofx",
        "Put the effect into every OpenFX host, take it out, or try it.",
        group={"install": "install.ofx:install", "uninstall": "install.ofx:uninstall", "check": "install.ofx:check"},
    ),
    CommandEntry("doctor", "Check the installation and say what to do.", "doctor.command:doctor"),
)
"""The only list of commands, in the order of `impasto --help`."""


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
        from importlib.metadata import version

        say(f"impasto {version('impasto')}")
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


def _add(app: typer.Typer, name: str, where: str, epilog: str | None = None) -> None:
    module, _, attribute = where.partition(":")
    function: Callable[..., None] = getattr(import_module(f"impasto.hosts.terminal.{module}"), attribute)
    app.command(name, help=flowing(function.__doc__), epilog=epilog)(function)


def _not_asked() -> None:
    raise AssertionError("a command ran that the arguments do not begin with")
