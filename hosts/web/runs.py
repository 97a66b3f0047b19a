"""Runs of the trainer below named roots, as their folders tell: curves, contact sheets, notes, the style."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.web.sheets import sheets_in
from impasto.server.file_roots import is_plain_name
from impasto.server.settings import Root

ENDING: Final = ".run"
DEPTH: Final = 5
MOST_RUNS: Final = 500
POINTS: Final = 400
"""Of a curve, more than a screen shows."""
MOST_NOTES: Final = 200
LOG_BYTES: Final = 64 << 20


@frozen_dataclass
class RunFacts:
    """A run in the list. `path` is 'ROOT:relative/NAME.run'."""

    path: str
    name: str
    root: str
    style: str
    """'ROOT:relative/NAME.safetensors'; empty before the first weights are published."""
    age_s: float
    """Since something was written last."""
    bytes: int
    """On disk, the style among them."""
    step: int
    seconds: float


@frozen_dataclass
class RunCurves:
    """The figures of a run over its time, at most `POINTS` of each."""

    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    figures: Mapping[str, tuple[float, ...]]


@frozen_dataclass
class RunNote:
    """What a monitor said."""

    step: int
    seconds: float
    text: str


def runs_below(roots: Mapping[str, Root]) -> list[RunFacts]:
    """Every run below the roots, the one that was written last first."""
    found: list[RunFacts] = []
    for name, root in roots.items():
        for folder in _run_folders(root.folder, DEPTH):
            relative = folder.relative_to(root.folder).as_posix()
            found.append(run_facts(folder, f"{name}:{relative}", name))
            if len(found) >= MOST_RUNS:
                break
    return sorted(found, key=lambda run: run.age_s)


def run_facts(folder: Path, path: str, root: str) -> RunFacts:
    """The facts of one run, by its path on this machine and its path below the root."""
    style = folder.with_suffix(".safetensors")
    files = [*_files_in(folder), *([style] if style.is_file() else [])]
    facts = [stat for file in files if (stat := _stat(file)) is not None]
    newest = max((stat.st_mtime for stat in facts), default=0.0)
    step, seconds = _last_step(folder / "log.csv")
    return RunFacts(
        path,
        folder.name.removesuffix(ENDING),
        root,
        f"{path.removesuffix(ENDING)}.safetensors" if style.is_file() else "",
        max(0.0, time.time() - newest),
        sum(stat.st_size for stat in facts),
        step,
        seconds,
    )


def curves_of(folder: Path) -> RunCurves:
    """The curves of a run; empty where it has no log. Rows that are no numbers are passed over."""
    rows: list[list[float]] = []
    names: list[str] = []
    for row in _rows(folder / "log.csv"):
        if not names:
            names = row
            continue
        try:
            values = [float(text) for text in row]
        except ValueError:
            continue
        if len(values) == len(names):
            rows.append(values)
    if len(names) < 2 or names[:2] != ["step", "seconds"] or not rows:
        return RunCurves((), (), {})
    chosen = [rows[round(index * (len(rows) - 1) / (POINTS - 1))] for index in range(POINTS)]
    shown = rows if len(rows) <= POINTS else chosen
    columns = list(zip(*shown, strict=True))
    figures = {name: tuple(columns[index]) for index, name in enumerate(names) if index > 1}
    moving = {name: values for name, values in figures.items() if any(values)}
    return RunCurves(tuple(int(step) for step in columns[0]), tuple(columns[1]), moving)


def notes_of(folder: Path) -> list[RunNote]:
    """What the monitors of a run said, the newest `MOST_NOTES`."""
    found: list[RunNote] = []
    for row in list(_rows(folder / "notes.csv"))[1:][-MOST_NOTES:]:
        try:
            found.append(RunNote(int(row[0]), float(row[1]), row[2]))
        except (ValueError, IndexError):
            continue
    return found


def sheet_steps(folder: Path) -> list[int]:
    """The steps at which a run drew a contact sheet that is still there; -1 is the newest, where no log has it."""
    steps = [sheet.step for sheet in sheets_in(folder)]
    return steps or ([-1] if (folder / "preview.png").is_file() else [])


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            inner = sorted(
                each.name for each in found if each.is_dir(follow_symlinks=False) and not each.name.startswith(".")
            )
    except OSError:
        return
    for name in filter(is_plain_name, inner):
        if name.endswith(ENDING):
            yield folder / name
        elif depth > 0:
            yield from _run_folders(folder / name, depth - 1)


def _files_in(folder: Path) -> list[Path]:
    return [Path(where) / name for where, _, names in os.walk(folder) for name in names]


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat(follow_symlinks=False)
    except OSError:
        return None


def _last_step(log: Path) -> tuple[int, float]:
    """Step and seconds of the last whole row of a log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read(4096).decode(errors="replace").splitlines()
    except OSError:
        return 0, 0.0
    for line in reversed(lines):
        try:
            step, seconds, *_ = line.split(",")
            return int(step), float(seconds)
        except ValueError:
            continue
    return 0, 0.0


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        if path.stat().st_size > LOG_BYTES:
            return
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            yield from csv.reader(file)
    except (OSError, csv.Error):
        return
