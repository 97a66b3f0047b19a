"""`impasto style`: show a style, compare two, export one for other programs."""

from __future__ import annotations

import time
from dataclasses import asdict
from enum import StrEnum
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.core.card import Card, KeyFacts, Training
from impasto.core.style_file import file_of, find_style, load_style, read_card
from impasto.core.style_reference import name_of
from impasto.hosts.events import CardShown, RunCancelled, RunFinished, StyleExported, StylesCompared
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import clock_text, console, counted, emit, say
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.report import reporter_for
from impasto.hosts.terminal.shared_options import Json, Overwrite, Rate
from impasto.hosts.terminal.style.comparison import LEGEND, ComparisonPlan, ComparisonStopped, compare_styles, table_of

StyleName = Annotated[str, typer.Argument(metavar="STYLE", help="A style's name, or its .safetensors file.")]


class Light(StrEnum):
    """The light that an exported network takes and gives."""

    ENCODED = "encoded"
    LINEAR = "linear"


def show(style: StyleName, json: Json = False) -> None:
    """Show the card of a style: how it paints, its network, its training, licence and credit."""
    path = find_style(style)
    card = read_card(path)
    megabytes = round(file_of(path).stat().st_size / 1e6, 2)
    if json:
        emit(CardShown(name_of(str(path)), str(path), megabytes, loads(card.to_json())))
        emit(RunFinished())
        return
    _print_card(card, f"{path} ({megabytes:.1f} MB)")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A style's name, or its .safetensors file.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    on: Annotated[
        str, typer.Option("--on", metavar="CLIP", help="The plate: a movie, a sequence, a folder or a still.")
    ],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="A movie with plate, A and B side by side.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="These frames alone: A-B, A-BxN, A,B,C.")
    ] = None,
    guides: Annotated[
        list[str] | None,
        typer.Option("--guides", metavar="PATH", help="Pictures with the layers that a style sees; repeatable."),
    ] = None,
    input_space: Annotated[
        str | None, typer.Option("--input-space", metavar="NAME", help="Colour space of the plate.")
    ] = None,
    rate: Rate = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="Where it paints.")] = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Compare two styles on a clip: a side-by-side movie and a table of figures.

    Both paint with the parameters of their cards. The figures are means over the frames: flicker (warp error),
    sharpness, forms kept (edge cosine), texture, colour, lattice. A clip of one frame has no warp error.
    """
    begun = time.monotonic()
    with reporter_for(json=json) as reporter, Interrupts("" if json else NOTICE) as interrupts:
        prepare_process()
        from impasto.core.media.frame_list import parse_frame_list

        plan = ComparisonPlan(
            find_style(first), find_style(second), on, output, parse_frame_list(frames) if frames else (),
            input_space, device, overwrite, tuple(guides or ()), rate or "",
        )  # fmt: skip
        for path in (plan.first, plan.second):
            read_card(path)
        try:
            findings = compare_styles(plan, reporter, interrupts.asked)
        except ComparisonStopped as stop:
            reporter.show(RunCancelled(stop.path, stop.frames, round(time.monotonic() - begun, 1)))
            raise typer.Exit(INTERRUPTED) from None
        seconds = round(time.monotonic() - begun, 2)
        found = StylesCompared(
            *plan.labels, on, findings.frames, asdict(findings.plate),
            {"first": asdict(findings.first), "second": asdict(findings.second)}, asdict(findings.difference),
        )  # fmt: skip
        done = RunFinished(output, findings.frames, seconds=seconds, fps=round(findings.frames / seconds, 3))
        if json:
            reporter.show(found)
            reporter.show(done)
            return
    screen = console()
    screen.print(table_of(found))
    screen.print()
    for line in LEGEND:
        screen.print(line)
    if output:
        say(f"{output}: {counted(done.frames, 'frame')} in {clock_text(seconds)}; plate, then A, then B")


def export(
    style: StyleName,
    to: Annotated[str, typer.Option("--to", metavar="onnx|torchscript", help="The format.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="An .onnx, or a .pt for TorchScript.")],
    light: Annotated[
        Light,
        typer.Option("--light", help="What it takes and gives: sRGB-encoded in [0, 1], or scene-linear of any value."),
    ] = Light.ENCODED,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a style as ONNX or TorchScript, for programs that run networks themselves.

    The file maps a picture to the painted picture, at any height and width, and carries colour, licence and credit. It
    is checked against the engine and kept only where the two agree.

    For Nuke's CatFileCreator: --to torchscript --light linear. Nuke hands over scene-linear light.
    """
    prepare_process()
    from impasto.core.export.exporting import check_target, export_to

    path = find_style(style)
    # Refuse what cannot work before the network is loaded.
    check_target(to, output, overwrite=overwrite).backend()
    exported = export_to(to, load_style(path), output, linear=light is Light.LINEAR, overwrite=overwrite)
    megabytes = round(output.stat().st_size / 1e6, 2)
    if json:
        form: Any = to  # one of the two, checked above
        event = StyleExported(
            name_of(str(path)), str(output), form, megabytes, exported.largest_difference, exported.facts
        )
        emit(event)
        emit(RunFinished(str(output)))
        return
    say(f"{output}: {megabytes:.1f} MB, at most {exported.largest_difference:.1g} from the engine")
    for name in ("colour", "input", "axes", "stride", "keys", "licence"):
        say(f"  {name}: {exported.facts[f'impasto.{name}']}")
    say("  how to run it, also in the file as impasto.example:")
    for line in exported.facts["impasto.example"].splitlines():
        say(f"    {line}")


NOTICE = "stopping; what is done so far is kept. Press Ctrl-C again to quit at once"


def _print_card(card: Card, where: str) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in card_rows(card):
        table.add_row(name, text)
    table.add_row("file", where)
    console().print(table)


def card_rows(card: Card) -> list[tuple[str, str]]:
    """A card as names and texts, the most asked first, without empty ones."""
    tiles = f"tiles with a halo of {card.halo} pixels" if card.tileable else "sees the whole frame, no tiles"
    network = ", ".join(f"{name} {value}" for name, value in card.config.items() if value not in (0, False))
    rows = [
        ("name", f"{card.name}, version {card.version}"),
        ("title", card.title),
        ("description", card.description),
        ("licence", card.licence),
        *(("credit", text) for text in card.credits),
        ("size", card.size),
        ("network", f"{card.generator}: {network}"),
        ("frame", f"{tiles}; sides padded to {card.stride}"),
        ("colour", card.colour),
        ("guides", ", ".join(f"{each.channel} ({each.reading})" for each in card.guides)),
        ("styles in it", ", ".join(card.codes)),
        ("keys", keys_text(card.keys) if card.keys is not None else ""),
        ("defaults", ", ".join(f"{name} {value:g}" for name, value in card.defaults.as_dict().items())),
        *(training_rows(card.training) if card.training is not None else ()),
        ("SHA-256", card.weights_sha256),
    ]
    return [(name, text) for name, text in rows if text]


def keys_text(keys: KeyFacts) -> str:
    """'2 painted frames (30, 100) of 640x360 that follow the camera'."""
    frames = f"{counted(len(keys.frames), 'painted frame')} ({', '.join(map(str, keys.frames))})"
    if keys.carried:
        made = f", {len(keys.made)} made from them" if keys.made else ""
        return f"{frames} of {keys.width}x{keys.height} by a hand, whose strokes are carried{made}"
    return f"{frames} of {keys.width}x{keys.height}{' that follow the camera' if keys.follow else ''}"


def training_rows(training: Training) -> list[tuple[str, str]]:
    """How the weights were trained."""
    steps = f"{counted(training.steps, 'step')} on {counted(training.pictures, 'picture')}"
    return [
        ("trained", f"{steps} in {clock_text(training.seconds)}, {training.date}"),
        ("recipe", ", ".join(f"{name} {value}" for name, value in training.recipe.items())),
        ("figures", ", ".join(f"{name} {value:g}" for name, value in training.metrics.items())),
        ("data", training.data_sha256),
    ]
