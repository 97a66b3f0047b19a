"""The command line as one Typer application; every command is a function in a file of its own.

Only the file of the command that was asked for is imported, so that `impasto --help` comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from inspect import cleandoc
from typing import Annotated

import typer

from impasto.hosts.terminal.exit_codes import exit_code_table

HELP = "A painter's style on a shot: a plate in, a painted plate out."
EPILOG = f"Exit codes\n\n\b\n{exit_code_table()}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in the list of commands, and how to get at it."""

    summary: str
    add_to: Callable[[typer.Typer], None]


def application(arguments: Sequence[str]) -> typer.Typer:
    """All commands, of which the one that `arguments` begin with can be run; of the others the summary is there.

    Errors leave it as exceptions; `impasto.hosts.terminal.app` says them.
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
    for name, entry in COMMANDS.items():
        if name == asked:
            entry.add_to(app)
        else:
            app.command(name, help=entry.summary)(_not_asked)
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
    """A docstring with its paragraphs in one line each, for a terminal of any width to break."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _not_asked() -> None:
    raise AssertionError("a command ran that the arguments do not begin with")


def _render(app: typer.Typer) -> None:
    from impasto.hosts.terminal.render.command import render

    app.command(help=flowing(render.__doc__), epilog=EPILOG)(render)


def _styles(app: typer.Typer) -> None:
    from impasto.hosts.terminal.style.listing import styles

    app.command(help=flowing(styles.__doc__))(styles)


def _style(app: typer.Typer) -> None:
    from impasto.hosts.terminal.style.command import compare, export, show

    style = typer.Typer(help="Look into a style, compare two, or export one.")
    for command in (show, compare, export):
        style.command(help=flowing(command.__doc__))(command)
    app.add_typer(style, name="style")


def _doctor(app: typer.Typer) -> None:
    from impasto.hosts.terminal.doctor import doctor

    app.command(help=flowing(doctor.__doc__))(doctor)


def _sheet(app: typer.Typer) -> None:
    from impasto.hosts.terminal.render.sheet import sheet

    app.command(help=flowing(sheet.__doc__))(sheet)


def _train(app: typer.Typer) -> None:
    from impasto.hosts.terminal.train.domains import domains
    from impasto.hosts.terminal.train.enhance import enhance
    from impasto.hosts.terminal.train.keyframes import keyframes
    from impasto.hosts.terminal.train.painting import painting, teach
    from impasto.hosts.terminal.train.pairs import pairs
    from impasto.hosts.terminal.train.tune import tune

    train = typer.Typer(help="Make a style.")
    for command in (keyframes, painting, pairs, domains, enhance, teach, tune):
        train.command(help=flowing(command.__doc__))(command)
    app.add_typer(train, name="train")


def _watch(app: typer.Typer) -> None:
    from impasto.hosts.terminal.watch.command import watch

    app.command(help=flowing(watch.__doc__))(watch)


def _blender(app: typer.Typer) -> None:
    from impasto.hosts.terminal.install.blender import install, package, uninstall

    blender = typer.Typer(help="Put the extension into Blender, or pack it into a file.")
    for command in (install, package, uninstall):
        blender.command(help=flowing(command.__doc__))(command)
    app.add_typer(blender, name="blender")


def _nuke(app: typer.Typer) -> None:
    from impasto.hosts.terminal.install.nuke import install, live, uninstall

    nuke = typer.Typer(help="Put the node into Nuke, or take it out.")
    for command in (install, uninstall, live):
        nuke.command(help=flowing(command.__doc__))(command)
    app.add_typer(nuke, name="nuke")


def _resolve(app: typer.Typer) -> None:
    from impasto.hosts.terminal.install.resolve import install, jobs, run, uninstall

    resolve = typer.Typer(help="Put the script into DaVinci Resolve, or run it.")
    for command in (install, uninstall, run, jobs):
        resolve.command(help=flowing(command.__doc__))(command)
    app.add_typer(resolve, name="resolve")


def _serve(app: typer.Typer) -> None:
    from impasto.hosts.terminal.server.serve import serve

    app.command(help=flowing(serve.__doc__))(serve)


def _status(app: typer.Typer) -> None:
    from impasto.hosts.terminal.server.status import status

    app.command(help=flowing(status.__doc__))(status)


def _stop(app: typer.Typer) -> None:
    from impasto.hosts.terminal.server.stop import stop

    app.command(help=flowing(stop.__doc__))(stop)


def _keys(app: typer.Typer) -> None:
    from impasto.hosts.terminal.server.auth import add, new, revoke, show, trust

    keys = typer.Typer(help="Say who may use a server over the network.")
    for command in (new, add, revoke, trust):
        keys.command(help=flowing(command.__doc__))(command)
    keys.command("list", help=flowing(show.__doc__))(show)
    app.add_typer(keys, name="keys")


COMMANDS = {
    "render": Entry("Paint a shot with a style.", _render),
    "watch": Entry("Paint what is rendered into a folder.", _watch),
    "styles": Entry("List the styles with size, halo, licence and credit.", _styles),
    "style": Entry("Look into a style, compare two, or export one.", _style),
    "sheet": Entry("Draw a contact sheet of a shot: the plate above, the result below.", _sheet),
    "train": Entry("Make a style.", _train),
    "serve": Entry("Run the render server until Ctrl-C.", _serve),
    "status": Entry("Show how the render server is.", _status),
    "stop": Entry("End the server once what runs is finished.", _stop),
    "keys": Entry("Say who may use a server over the network.", _keys),
    "blender": Entry("Put the extension into Blender, or pack it into a file.", _blender),
    "resolve": Entry("Put the script into DaVinci Resolve, or run it.", _resolve),
    "nuke": Entry("Put the node into Nuke, or take it out.", _nuke),
    "doctor": Entry("Check the installation and say what to do.", _doctor),
}
