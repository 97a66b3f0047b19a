# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder in which an artist paints over plates: what was exported, what is painted, what fits. No `bpy`."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from impasto.core.errors import TrainingError
from impasto.server.client import Client

from ..frame_files import pattern_of
from ..look.look import Look
from ..shot_job import LINEAR, shot_job, shot_runs

Ending: TypeAlias = Literal[".png", ".exr"]
Size: TypeAlias = tuple[int, int]

EXPORTED: Final = "exported.json"
KEYS: Final = "keys"
PLATE_STYLE: Final = "identity"
SPACES: Final[dict[Ending, str]] = {".png": "srgb", ".exr": LINEAR}
PAINTED: Final = (".png", ".exr", ".tif", ".tiff", ".jpg", ".jpeg")

_NUMBER: Final = re.compile(r"(\d+)\.\w+$")


@dataclass(frozen=True, slots=True)
class Export:
    """Plates to be painted over."""

    input: str
    """The shot, as the server reads it."""
    numbers: tuple[int, ...]
    folder: Path
    slug: str
    """The beginning of the pictures' names."""
    ending: Ending = ".png"
    input_space: str = ""


@dataclass(frozen=True, slots=True)
class PaintedKey:
    """A picture of the folder."""

    number: int
    path: Path
    problem: str = ""
    """Why it cannot be a key; '' where it can."""


def export_plates(client: Client, export: Export) -> tuple[Path, ...]:
    """Let the server write the plates, named by their numbers; pictures that exist already stay.

    Returns the new pictures. Raises what a shot raises.
    """
    export.folder.mkdir(parents=True, exist_ok=True)
    there = pictures_in(export.folder)
    wanted = [number for number in export.numbers if number not in there]
    for run in shot_runs(wanted):
        client.render_shot(
            shot_job(
                Look(PLATE_STYLE),
                export.input,
                pattern_of(export.folder, export.slug, export.ending),
                run,
                input_space=export.input_space,
                output_space=SPACES[export.ending],
                overwrite=True,
            )
        )
    found = pictures_in(export.folder)
    written = {number: found[number] for number in wanted if number in found}
    noted = _exported(export.folder) | {str(number): _digest(path) for number, path in written.items()}
    (export.folder / EXPORTED).write_text(json.dumps(noted), encoding="utf-8")
    return tuple(written.values())


def pictures_in(folder: Path) -> dict[int, Path]:
    """Number -> picture of the folder itself, ascending; of two with one number the newer, which is the paint."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else (), key=lambda path: path.stat().st_mtime_ns):
        match = _NUMBER.search(path.name)
        if match is not None and path.suffix.lower() in PAINTED and not path.name.startswith("."):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def painted_keys(folder: Path, size: Size, size_of: Callable[[Path], Size]) -> tuple[PaintedKey, ...]:
    """The pictures that differ from what was exported, each with what is wrong with it.

    `size` is that of the plate; `size_of` reads that of a picture, (0, 0) where it cannot be read.
    """
    exported = _exported(folder)
    keys = []
    for number, path in pictures_in(folder).items():
        if exported.get(str(number)) == _digest(path):
            continue
        keys.append(PaintedKey(number, path, _problem(path, size, size_of(path))))
    return tuple(keys)


def collect(folder: Path, keys: Iterable[PaintedKey]) -> Path:
    """Copy the painted keys, and nothing else, into a folder for the trainer, and return it.

    Raises TrainingError where there are none, or one does not fit.
    """
    painted = tuple(keys)
    if not painted:
        raise TrainingError(
            f"expected painted frames in '{folder}', all pictures are as they were exported; paint over one and save it"
            " under its name"
        )
    for key in painted:
        if key.problem:
            raise TrainingError(key.problem)
    target = folder / KEYS
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for key in painted:
        shutil.copy2(key.path, target / key.path.name)
    return target


def _problem(path: Path, expected: Size, found: Size) -> str:
    if found == (0, 0):
        return f"expected a picture, '{path.name}' cannot be read; save it again as PNG or EXR"
    if expected != (0, 0) and found != expected:
        return (
            f"expected a key of the plate's size {expected[0]}x{expected[1]}, got {found[0]}x{found[1]} in "
            f"'{path.name}'; paint on the exported frame without scaling or cropping it"
        )
    return ""


def _exported(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / EXPORTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
