"""What is printed cannot steer the terminal, nor look like lines that impasto never printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import impasto.hosts.terminal
from impasto.hosts.events import RunWarning, ShotSkipped, line_of
from impasto.hosts.terminal.printer import console, say
from impasto.hosts.terminal.progress_bar import ProgressBar
from tests.altered_style import card_of, write_altered
from tests.hosts.terminal.conftest import Impasto

NASTY = "plate\x1b]0;owned\x07\x1b[2J\u202egpj\x9b31m\nimpasto: all is well\r\x7f\ud800"
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_a_card_cannot_steer_the_terminal(impasto: Impasto, tmp_path: Path) -> None:
    nasty = NASTY.replace("\ud800", "")  # no card holds it, see test_hostile_files
    texts = dict.fromkeys(("title", "description", "licence", "size", "version", "name"), nasty)
    training = {"date": nasty, "recipe": {nasty: nasty}, "metrics": {nasty: 1.0}, "data_sha256": nasty}
    card = card_of() | texts | {
        "credits": [nasty], "training": training | {"pictures": 1, "steps": 1, "seconds": 1.0}
    }  # fmt: skip
    path = write_altered(tmp_path / "esc.safetensors", card)
    done = impasto("style", "show", path)
    assert done.code == 0, done.err
    assert not STEERS.search(done.out)
    assert not any(line.startswith("impasto: ") for line in done.out.splitlines())


def test_names_of_files_cannot_forge_a_line(impasto: Impasto) -> None:
    done = impasto("render", f"{NASTY}.exr", "out.exr", "--style", "identity")
    (line,) = done.err.splitlines()
    assert line.startswith("impasto: ")
    assert not STEERS.search(line)


def test_a_watched_file_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.show(ShotSkipped(f"/in/{NASTY}", "unreadable", f"expected a picture in '{NASTY}'", ""))
        bar.show(RunWarning(NASTY))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert not any(STEERS.search(line) for line in lines)


def test_tables_keep_their_colours_and_lose_foreign_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.table import Table
    from rich.text import Text

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    table = Table(header_style="bold")
    table.add_column("name")
    table.add_row(NASTY)
    table.add_row(Text(NASTY))
    table.add_row("[red]:warning:[/]")
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    shown = captured.get()
    assert "owned" in shown
    assert "\x1b[1m" in shown
    assert "[red]:warning:[/]" in shown
    assert not STEERS.search(re.sub(r"\x1b\[[\d;]*m", "", shown))
    assert len({len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in shown.splitlines()}) == 1


def test_one_call_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("two\nlines\u2028of one")
    assert capsys.readouterr().out == "two lines of one\n"


def test_a_line_for_programs_carries_every_name_and_steers_nothing() -> None:
    line = line_of(RunWarning(NASTY))
    assert not STEERS.search(line)
    line.encode()
    assert json.loads(line)["message"] == NASTY


def test_nothing_else_prints() -> None:
    printing = re.compile(r"(?<![\w.])print\(|typer\.echo\(|(?<!Clean)\bConsole\(")
    (folder,) = impasto.hosts.terminal.__path__
    found = [
        f"{path.relative_to(folder)}: {line.strip()}"
        for path in sorted(Path(folder).rglob("*.py"))
        if path.name != "printer.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if printing.search(line)
    ]
    assert found == []
