"""A job bundle: the folder that `deadline bundle submit` and `openjd run` take.

template.yaml           the job; every option of the look is a parameter of it
parameter_values.yaml   where the plates are and where the results go, on the machine that wrote it
asset_references.yaml   the same for farms that copy files to their machines
job.json                name of the job, version and style; machines that have others are refused
style.safetensors       the style, and animation.json the animated parameters
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import UsageError
from impasto.core.media.commit import output_error
from impasto.core.media.numbering import find_in_folder, parse_numbered
from impasto.core.media.open import is_live, is_movie
from impasto.core.style_reference import joined, split_reference
from impasto.hosts.farm.job_file import NAME as JOB_FILE
from impasto.hosts.farm.job_file import FarmJob, write_farm_job
from impasto.hosts.farm.template import JobPath, ShotTemplate, task_command, template_of

TEMPLATE, VALUES, REFERENCES = "template.yaml", "parameter_values.yaml", "asset_references.yaml"
STYLE, ANIMATION = "style.safetensors", "animation.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was written."""

    folder: Path
    shot: ShotTemplate
    commands: tuple[str, ...]
    """What submits it, and what runs it here."""
    task: str
    """One task, for farms of other kinds."""


def input_path(parameter: str, path: str, *, suffix: str = "") -> JobPath:
    """A pattern, a folder with one sequence, a still or a movie as a parameter. UsageError for a camera or stream."""
    if is_live(path):
        raise UsageError(f"expected files as the input of a farm job, got '{path}'; record it first")
    path = os.path.abspath(path)
    if is_movie(path):
        return JobPath(parameter, path, "FILE", "IN", suffix=suffix)
    files = find_in_folder(path) if os.path.isdir(path) else parse_numbered(path) or path
    folder, name = os.path.split(str(files))
    return JobPath(parameter, folder, "DIRECTORY", "IN", name, suffix)


def output_path(parameter: str, path: str) -> JobPath:
    """A result as a parameter: the folder that it goes into."""
    folder, name = os.path.split(os.path.abspath(path))
    return JobPath(parameter, folder, "DIRECTORY", "OUT", name)


def write_bundle(folder: Path, shot: ShotTemplate, job: FarmJob, style: Path, animation: str | None) -> Bundle:
    """Write a bundle into a folder, which is made; what an earlier job left of one there is replaced.

    `animation` is the text of the animation file. The template is checked by the parser of OpenJD before anything is
    written. Raises OutputError where the folder cannot be written.
    """
    import yaml

    template = template_of(shot)
    require_sound(template)
    file, _ = split_reference(str(style))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Path(shot.output.value).mkdir(parents=True, exist_ok=True)
        write_farm_job(job, folder / JOB_FILE)
        if not (folder / STYLE).exists() or not os.path.samefile(file, folder / STYLE):
            shutil.copyfile(file, folder / STYLE)
        if animation is not None:
            (folder / ANIMATION).write_text(animation, encoding="utf-8")
        values = [{"name": path.parameter, "value": path.value} for path in shot.paths() if os.path.isabs(path.value)]
        digest = hashlib.sha256((folder / STYLE).read_bytes()).hexdigest()
        notes = f"# Job {job.id}, written by impasto {job.impasto}. SHA-256 of {STYLE}: {digest}\n"
        retries = {"name": "deadline:maxRetriesPerTask", "value": shot.attempts - 1}
        texts = {
            TEMPLATE: template,
            VALUES: {"parameterValues": [*values, retries]},
            REFERENCES: _references(shot),
        }
        for name, facts in texts.items():
            text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=118)
            (folder / name).write_text(notes + text, encoding="utf-8")
    except OSError as error:
        raise output_error(str(folder), error) from error
    given = " ".join(f"-p {shlex.quote(each['name'] + '=' + each['value'])}" for each in values)
    last = template["steps"][-1]["name"]
    where = shlex.quote(str(folder))
    commands = (
        f"deadline bundle submit {where}",
        f"openjd run {shlex.quote(str(folder / TEMPLATE))} --step {last} --run-dependencies {given}",
    )
    return Bundle(folder, shot, commands, " ".join(map(shlex.quote, task_command(shot, str(folder.absolute())))))


def require_sound(template: dict[str, Any]) -> None:
    """Raise UsageError, in the words of OpenJD's own parser, for a template that no farm would take."""
    from openjd.model import DecodeValidationError, decode_job_template

    try:
        decode_job_template(template=template, supported_extensions=["TASK_CHUNKING"])
    except DecodeValidationError as error:
        raise UsageError(f"expected settings that fit into a job template, got: {error}; see its names") from error


def travelling(style: str, parameter: str) -> JobPath:
    """The style as a file of the bundle, with the choice that was made of it."""
    return JobPath(parameter, STYLE, "FILE", "IN", suffix=joined(" ", split_reference(style)[1]).strip())


def in_bundle(parameter: str, name: str) -> JobPath:
    """A file of the bundle."""
    return JobPath(parameter, name, "FILE", "IN")


def _references(shot: ShotTemplate) -> dict[str, Any]:
    inputs = [path for path in shot.paths() if path.flow == "IN" and os.path.isabs(path.value)]
    return {
        "assetReferences": {
            "inputs": {
                "filenames": sorted({path.value for path in inputs if path.kind == "FILE"}),
                "directories": sorted({path.value for path in inputs if path.kind == "DIRECTORY"}),
            },
            "outputs": {"directories": sorted({path.value for path in shot.paths() if path.flow == "OUT"})},
            "referencedPaths": [],
        }
    }
