"""`impasto styles`: what `--style` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from impasto.core.card import Card
from impasto.core.errors import StyleError, UsageError
from impasto.core.params import PARAMETERS
from impasto.core.style_file import file_of, offered_by, read_card, style_files
from impasto.core.style_reference import name_of
from impasto.hosts.events import Event, ParameterFound, RunFinished, RunWarning, StyleFound
from impasto.hosts.terminal.printer import console, emit, say_aside
from impasto.hosts.terminal.shared_options import Json

PREFERRED, PREFERRED_SIZE = "wheatfield", "standard"


def styles(json: Json = False) -> None:
    """List the styles with size, halo and licence."""
    found, problems = installed_styles()
    notes = [RunWarning(str(error)) for error in problems]
    if json:
        events: list[Event] = [*found, *controls(), *notes, RunFinished()]
        for event in events:
            emit(event)
        return
    _show_table(found)
    for note in notes:
        say_aside(f"note: {note.message}")


def installed_styles() -> tuple[list[StyleFound], list[StyleError]]:
    """Every style of this installation, and an error for each file that is not sound."""
    found: list[StyleFound] = []
    problems: list[StyleError] = []
    for path in style_files().values():
        try:
            found.extend(style_found(card, each) for each, card in offered_by(path))
        except StyleError as error:
            problems.append(error)
    return found, problems


def controls() -> tuple[ParameterFound, ...]:
    """The controls that every style has."""
    return tuple(ParameterFound(**asdict(each)) for each in PARAMETERS)


def style_found(card: Card, path: Path) -> StyleFound:
    """The facts of a style file, or of one of the styles in it, for a list of choices."""
    megabytes = round(file_of(path).stat().st_size / 1e6, 2)
    return StyleFound(
        name_of(str(path)), card.title, card.description, card.size, card.halo, megabytes, card.licence, card.credits,
        str(path), card.weights_sha256,
    )  # fmt: skip


def default_style() -> str:
    """The built-in style that is used where none is named; see `default_style_of`."""
    return default_style_of({name: read_card(path).size for name, path in style_files().items()})


def default_style_of(sizes: Mapping[str, str]) -> str:
    """From names and sizes of styles: the one in the documentation, else the first of standard size.

    Raises UsageError where there is none.
    """
    painting = [name for name in sizes if name != "identity"]
    if not painting:
        raise UsageError(
            "expected a painting style, found none built in; name a .safetensors file with --style,"
            " or train one with `impasto train pairs`"
        )
    if PREFERRED in painting:
        return PREFERRED
    return next((name for name in painting if sizes[name] == PREFERRED_SIZE), painting[0])


def _show_table(found: list[StyleFound]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "size", "halo", "MB", "licence", "description"):
        right, named = heading in ("halo", "MB"), heading == "name"
        table.add_column(heading, justify="right" if right else "left", no_wrap=named, overflow="fold")
    for each in found:
        table.add_row(
            each.name, each.size, str(each.halo), f"{each.megabytes:.1f}", each.licence, each.description or each.title
        )  # fmt: skip
    screen = console()
    screen.print(table)
    screen.print()
    screen.print("credits, training and all else of one: impasto style show NAME")
