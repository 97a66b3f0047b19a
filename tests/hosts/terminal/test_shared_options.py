"""Options that are written once and read by Typer on several commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from impasto.hosts.terminal.shared_options import flattened


@dataclass(frozen=True)
class Shared:
    output: Annotated[str, typer.Option("-o", "--output")]
    seed: Annotated[int, typer.Option("--seed", help="Where chance begins.")] = 7


def test_a_command_takes_the_fields_as_options_and_gets_them_together() -> None:
    got: list[tuple[str, Shared, bool]] = []

    @flattened
    def command(
        plates: Annotated[str, typer.Argument()], options: Shared, fast: Annotated[bool, typer.Option("--fast")] = False
    ) -> None:
        """Do it."""
        got.append((plates, options, fast))

    app = typer.Typer()
    app.command()(command)
    run = CliRunner().invoke
    assert run(app, ["shot.mov", "-o", "a", "--fast"]).exit_code == 0
    assert run(app, ["shot.mov", "--output", "b", "--seed", "3"]).exit_code == 0
    assert got == [("shot.mov", Shared("a"), True), ("shot.mov", Shared("b", 3), False)]
    assert run(app, ["shot.mov"]).exit_code == 2, "--output has no default"
    told = run(app, ["--help"]).output
    assert told.index("Do it.") < told.index("--fast") < told.index("--output") < told.index("Where chance begins.")
