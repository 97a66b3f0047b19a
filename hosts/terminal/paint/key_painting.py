"""Painted keys in a folder: finds the plates, names the pictures by their frames, and reports the progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.events import FrameDone, RunStarted, RunWarning
from impasto.hosts.terminal.paint.options import PainterWishes

if TYPE_CHECKING:
    from impasto.core.frame import Frame
    from impasto.hosts.terminal.interrupts import Interrupts
    from impasto.hosts.terminal.report import Reporter
    from impasto.training.data.shots import NumberedFrames


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is painted, {index of the shot: numbers of its frames}, and the folder for it."""

    folder: Path
    shots: Sequence[NumberedFrames]
    chosen: Mapping[int, Sequence[int]]
    overwrite: bool = False


def shots_of(paths: Sequence[str]) -> list[NumberedFrames]:
    """The plates that paths name: movies, sequences, folders of numbered pictures, and stills.

    Pictures of a folder without numbers are stills. Raises MediaError for what cannot be read, TrainingError for a
    folder without pictures.
    """
    from impasto.core.media.numbering import number_in
    from impasto.training.data.pictures import picture_files
    from impasto.training.data.shots import numbered_frames

    found: list[NumberedFrames] = []
    for path in paths:
        if os.path.isdir(path):
            pictures = picture_files(Path(path)).values()
            if not pictures:
                raise TrainingError(f"expected pictures in '{path}', found none; name a movie or a folder with plates")
            if any(number_in(each.name) is None for each in pictures):
                found.extend(numbered_frames(str(each), "plate") for each in pictures)
                continue
        found.append(numbered_frames(path, "plate"))
    return found


def paint_into(
    plan: KeyPlan,
    wishes: PainterWishes,
    reporter: Reporter,
    interrupts: Interrupts,
    on_key: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Paint what is planned; the paths of the pictures finished. `on_key` is called after each.

    Each is PNG, or EXR where its plate is float, is there whole or not at all, and bears the number of its frame.
    Raises OutputExists, UsageError for two plates of one name, and what the readers, the painter and the writers raise.
    """
    from impasto.core.media.commit import committed, make_folder
    from impasto.core.media.picture_writer import write_picture
    from impasto.training.painter.key_painter import load_painting, painting_notes
    from impasto.training.painter.shot import PaintingManner, painted_keys, pooled_plates

    painting = load_painting(wishes.painting)
    names = _names(plan)
    if not plan.overwrite:
        _require_free(list(names.values()))
    make_folder(str(plan.folder / "key"))
    begun, done = time.monotonic(), list[Path]()
    first = plan.shots[0]
    title = wishes.painting.stem
    reporter.show(RunStarted(first.path, str(plan.folder), title, first.numbers[0], len(names), 0, 0, 0, None))
    manner = PaintingManner(painting, pooled_plates(plan.shots, wishes.input_space), wishes.settings)
    noted: set[str] = set()
    for index, numbers in plan.chosen.items():
        keys = painted_keys(plan.shots[index], numbers, manner, wishes.input_space)
        for place, key in enumerate(keys):
            path = names[index, key.frame.number].with_suffix(_ending(key.frame))
            _require_other_than(key.frame.source, path)
            with committed(str(path), replace=plan.overwrite) as temporary:
                write_picture(temporary, str(path), key.frame)
            done.append(path)
            on_key()
            pace = len(done) / max(time.monotonic() - begun, 1e-6)
            left = (len(names) - len(done)) / pace
            reporter.show(FrameDone(key.frame.number, str(path), len(done), len(names), round(pace, 3), left, 0))
            window = key.frame.part.data_window
            notes = painting_notes(painting, (window.height, window.width), wishes.settings)
            if place and key.carried is None:
                notes.append(f"frame {key.frame.number} shows another scene than the key before it: painted afresh")
            for note in notes:
                if note not in noted:
                    noted.add(note)
                    reporter.show(RunWarning(note))
            if interrupts.asked():
                return done
    return done


def _ending(frame: Frame) -> str:
    return ".exr" if np.issubdtype(frame.part.pixels.dtype, np.floating) else ".png"


def _names(plan: KeyPlan) -> dict[tuple[int, int], Path]:
    """Where each key goes, as PNG; a float plate wants another ending."""
    names: dict[tuple[int, int], Path] = {}
    taken: dict[str, str] = {}
    for index, numbers in plan.chosen.items():
        for number in numbers:
            shot = plan.shots[index]
            stem = _stem(shot, number)
            if stem in taken:
                raise UsageError(
                    f"expected plates of different names, got '{stem}' from '{taken[stem]}' and '{shot.path}'; "
                    "paint them into folders of their own"
                )
            taken[stem] = shot.path
            names[index, number] = plan.folder / f"{stem}.png"
    return names


def _stem(shot: NumberedFrames, number: int) -> str:
    """The name of a frame without its ending: that of its file, or of the movie with the number."""
    from impasto.core.media.numbering import parse_numbered
    from impasto.training.data.shots import is_shot

    if shot.files is not None:
        return shot.files[shot.numbers.index(number)].stem
    numbered = parse_numbered(shot.path)
    if numbered is not None:
        return Path(numbered.path_of(number)).stem
    return f"{Path(shot.path).stem}.{number:04}" if is_shot(shot.path) else Path(shot.path).stem


def _require_other_than(source: str, path: Path) -> None:
    """OutputExists where a key would take the place of its plate."""
    if path.exists() and os.path.exists(source) and os.path.samefile(source, path):
        raise OutputExists(f"expected another folder than that of the input '{path}'; the input is never overwritten")


def _require_free(paths: Sequence[Path]) -> None:
    for path in paths:
        for each in (path, path.with_suffix(".exr")):
            if os.path.lexists(each):
                raise OutputExists(
                    f"expected no file at '{each}', but there is one; give --overwrite or another folder"
                )
