"""The options of `impasto submit` for one shot as the bundle of a farm job, checked as far as they can be here."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import UsageError
from impasto.core.media import FrameRange, open_reader
from impasto.core.media.open import is_movie, picture_target
from impasto.core.motion.conventions import MotionSource
from impasto.core.style_file import find_style
from impasto.hosts.farm.bundle import (
    ANIMATION,
    Bundle,
    in_bundle,
    input_path,
    output_path,
    travelling,
    write_bundle,
)
from impasto.hosts.farm.chunks import MOST_FRAMES
from impasto.hosts.farm.job_file import NAME as JOB_FILE
from impasto.hosts.farm.job_file import FarmJob, farm_job_for
from impasto.hosts.farm.local import as_range
from impasto.hosts.farm.template import JobPath, ShotTemplate
from impasto.hosts.terminal.farm.render_options import (
    OF_THE_RUN,
    arguments_of,
    job_options,
    parameters,
    runs_of,
    with_look,
)
from impasto.hosts.terminal.printer import say_aside
from impasto.hosts.terminal.render.drive import animation_text
from impasto.hosts.terminal.render.job import job_from
from impasto.hosts.terminal.style.listing import default_style
from impasto.server.protocol.animation import animation_from
from impasto.server.protocol.colour_configuration import BUILT_IN, BY_NAME, named_here
from impasto.server.protocol.messages import ShotJob

CHUNK = 8
"""Frames in a task before a farm has measured anything; hosts/farm/README.md shows why."""
OF_PATHS = frozenset({"style", "frames", "matte", "guides", "motion", "animate", "drive", "device", "job", "tile"})
OF_THE_LIST = frozenset({"plates", "out", "job", "movie"})
LIST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class PreparedShot:
    """A shot that may be written as a bundle."""

    folder: Path
    job: FarmJob
    template: ShotTemplate
    style: Path
    animation: str | None
    """The text of its animation file, None without one."""
    numbers: tuple[int, ...]
    order: ShotJob
    """The whole shot, as its options say it."""
    fixed_chunk: int | None
    """Frames in a chunk that were asked for; None leaves them to the loop."""


def prepared(row: Mapping[str, Any], *, chunk: str, attempts: int, fixed_precision: bool) -> PreparedShot:
    """Check a shot and everything that it names. `fixed_precision` leaves none to the machines, which may differ.

    Raises what rendering it would raise before its first frame, and UsageError for what a farm cannot do.
    """
    plates, out = str(row["plates"]), str(row["out"])
    of_plates = input_path("Plates", plates)
    options = with_look({name: value for name, value in row.items() if name not in OF_THE_LIST})
    device = options.get("device") or "auto"
    if fixed_precision and (options.get("precision") or "auto") == "auto":
        options["precision"] = "float16" if device.startswith(("auto", "cuda")) else "float32"
    notes: list[str] = []
    order = job_from(input=plates, output=out, note=notes.append, **job_options(options))
    for note in notes:
        say_aside(f"note: {note}")
    numbers: list[int] = []
    runs: Sequence[FrameRange | None] = runs_of(options) or [None]
    for run in runs:
        with open_reader(plates, frames=run, layer=options.get("layer")) as reader:
            info = reader.info
            numbers += range(info.first, info.first + (info.frame_count or 0))
    if picture_target(out, info) is None or info.kind == "still" or not numbers:
        raise UsageError(
            f"expected numbered frames of a plate that has an end, got '{out}' of '{plates}'; machines cannot share a "
            "movie: write painted.####.exr, and name the movie with --movie"
        )
    style = find_style(options.get("style") or default_style())
    movie = row.get("movie")
    if movie and not is_movie(str(movie)):
        raise UsageError(f"expected a movie such as painted.mov as --movie, got '{movie}'; choose another extension")
    output = output_path("Out", str(picture_target(out, info)))
    template = ShotTemplate(
        name=f"impasto {os.path.basename(str(info.path))}",
        frames=as_range(numbers),
        chunk=_chunk(chunk),
        plates=of_plates,
        output=output,
        job_file=in_bundle("JobFile", JOB_FILE),
        style=travelling(str(style), "Style"),
        files=_files_of(options, plates),
        look=[each for each in arguments_of(options) if each[0].strip("-").replace("-", "_") not in OF_PATHS],
        run=arguments_of({"tile": options.get("tile")}),
        device=device,
        attempts=attempts,
        ocio=_configuration(),
        movie=output_path("Movie", str(movie)) if movie else None,
        movie_options=_movie_options(plates, options),
        command=_command(),
    )
    folder = Path(str(row["job"])) if row.get("job") else Path(f"{output.value}.job")
    fixed = None if chunk == "auto" else template.chunk
    animation = animation_from(order.animated)
    text = None if animation is None else animation_text(animation)
    return PreparedShot(folder, farm_job_for(str(style)), template, style, text, tuple(numbers), order, fixed)


def written(shot: PreparedShot) -> Bundle:
    """Write the bundle of a shot; errors as those of `write_bundle`."""
    return write_bundle(shot.folder, shot.template, shot.job, shot.style, shot.animation)


def read_shots(path: str) -> list[dict[str, Any]]:
    """The rows of a list of shots, each with 'plates' and 'out'. UsageError for a file that is none."""
    try:
        if os.path.getsize(path) > LIST_BYTES:
            raise UsageError(f"expected a list of at most {LIST_BYTES >> 20} MiB, got more in '{path}'; cut it")
        text = Path(path).read_text(encoding="utf-8-sig")
        rows = json.loads(text) if path.lower().endswith(".json") else list(csv.DictReader(text.splitlines()))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"expected a list of shots as .csv or .json at '{path}', got: {error}; mend it") from error
    known = {each[0].strip("-").replace("-", "_") for each in _all_arguments()} | OF_THE_LIST
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows if isinstance(rows, list) else [], 1):
        if not isinstance(row, dict) or not row.get("plates") or not row.get("out"):
            raise UsageError(f"expected 'plates' and 'out' in shot {number} of '{path}', got {row!r}; add them")
        values = {str(name).replace("-", "_"): value for name, value in row.items() if value not in (None, "")}
        if unknown := sorted(values.keys() - known):
            raise UsageError(
                f"expected options of `impasto render` in '{path}', got '{unknown[0]}'; rename that column"
            )
        found.append({name: _typed(name, value, path) for name, value in values.items()})
    if not found:
        raise UsageError(f"expected at least one shot in '{path}', found none; see `impasto submit --help`")
    folders = [each.get("job") or os.path.dirname(os.path.abspath(each["out"])) for each in found]
    if len(set(folders)) < len(folders):
        raise UsageError(f"expected a folder of its own for each result in '{path}', got one twice; change 'out'")
    return found


def _typed(name: str, value: Any, path: str) -> Any:
    """A value of a list as the command line would have it: controls are numbers, guides and drivers lists."""
    if name in ("guides", "drive"):
        return value if isinstance(value, list) else shlex.split(str(value))
    if name in _text_options():
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"expected a number as {name} in '{path}', got {value!r}; correct it") from None


def _all_arguments() -> list[tuple[str, ...]]:
    kept = (OF_THE_RUN - {"device", "tile"}) | {"input", "output"}
    return [(f"--{name}",) for name in parameters() if name not in kept]


def _text_options() -> frozenset[str]:
    from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS
    from impasto.core.params import PARAMETERS

    numbers = {each.name for each in PARAMETERS}
    numbers |= {f"before_{each.name}" for each in BEFORE_CONTROLS} | {f"after_{each.name}" for each in AFTER_CONTROLS}
    names = {each[0].strip("-") for each in _all_arguments()} | OF_THE_LIST
    return frozenset(names - numbers)


def _chunk(text: str) -> int:
    if text == "auto":
        return CHUNK
    if not text.isdecimal() or not 0 < int(text) <= MOST_FRAMES:
        raise UsageError(f"expected --chunk as auto or 1 to {MOST_FRAMES} frames, got '{text}'; leave it at auto")
    return int(text)


def _files_of(options: Mapping[str, Any], plates: str) -> list[tuple[str, JobPath]]:
    """Files that belong to the look, each with the option that names it."""
    found: list[tuple[str, JobPath]] = []
    if options.get("matte"):
        found.append(("--matte", input_path("Matte", options["matte"])))
    for number, path in enumerate(options.get("guides") or (), 1):
        found.append(("--guides", input_path(f"Guides{number}", path)))
    if options.get("motion"):
        source = MotionSource.parse(options["motion"])
        suffix = options["motion"][len(source.path) :]
        found.append(("--motion", input_path("Motion", source.path or plates, suffix=suffix)))
    if options.get("animate") or options.get("drive"):
        found.append(("--animate", in_bundle("Animation", ANIMATION)))
    return found


def _configuration() -> JobPath | str:
    source, _ = named_here()
    if source == BUILT_IN:
        return ""
    return source if source.startswith(BY_NAME) else JobPath("OcioConfig", source, "FILE", "IN")


def _movie_options(plates: str, options: Mapping[str, Any]) -> list[tuple[str, ...]]:
    of_plates = [("--against", "{{Param.Plates}}")] if is_movie(plates) else []
    return [*of_plates, *arguments_of({"rate": options.get("rate")})]


def _command() -> tuple[str, ...]:
    """How a machine calls impasto: by its name where that is on the path here, else as this process was started."""
    if shutil.which("impasto"):
        return ("impasto",)
    return (sys.executable, "-m", "impasto.hosts.terminal")
