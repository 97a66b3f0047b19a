"""A shot as an OpenJD job template: what a farm runs, and what a person may read and edit.

Open Job Description 2023-09 with the extension TASK_CHUNKING:
https://github.com/OpenJobDescription/openjd-specifications/wiki/2023-09-Template-Schemas
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

PAINT, VERIFY, MOVIE = "Paint", "Verify", "Movie"
SECONDS = 45
"""Of a chunk, for schedulers that adapt its size to what they measure."""


@dataclass(frozen=True, slots=True)
class JobPath:
    """A parameter of type PATH, so that a farm can map it to where a machine has it.

    Of a pattern and of a file in a folder of many the folder is the parameter, and `name` comes behind it.
    """

    parameter: str
    value: str
    """As this machine has it; relative to the bundle where the file is in it."""
    kind: Literal["FILE", "DIRECTORY"]
    flow: Literal["IN", "OUT", "INOUT"]
    name: str = ""
    suffix: str = ""
    """Behind it, as ':LAYER' of motion vectors and '@CHOICE' of a style."""

    @property
    def reference(self) -> str:
        """How a command names it in the template."""
        return f"{{{{Param.{self.parameter}}}}}{'/' + self.name if self.name else ''}{self.suffix}"


@dataclass(frozen=True, slots=True)
class ShotTemplate:
    """What goes into the template of one shot."""

    name: str
    frames: str
    """As an OpenJD range: '1001-1100', '1-10,20-30'."""
    chunk: int
    plates: JobPath
    output: JobPath
    job_file: JobPath
    style: JobPath
    files: Sequence[tuple[str, JobPath]]
    """Option -> file of the look: mattes, guides, motion, animation."""
    look: Sequence[tuple[str, ...]]
    """Options that change frames: they go to verify too."""
    run: Sequence[tuple[str, ...]]
    """Options of the run alone, such as the tile."""
    device: str
    attempts: int
    """At each task, for farms that take it from the job."""
    ocio: JobPath | str
    """The configuration's file, or its name; '' for the built-in one."""
    movie: JobPath | None = None
    movie_options: Sequence[tuple[str, ...]] = ()
    command: Sequence[str] = ("impasto",)

    def paths(self) -> list[JobPath]:
        """Every path of the job."""
        found = [self.plates, self.output, self.style, self.job_file, *(path for _, path in self.files)]
        found += [self.ocio] if isinstance(self.ocio, JobPath) else []
        return found + ([self.movie] if self.movie is not None else [])


def template_of(shot: ShotTemplate) -> dict[str, Any]:
    """The template as plain values. All but the paths outside the bundle have defaults."""
    verify = {"name": VERIFY, "dependencies": [{"dependsOn": PAINT}], **_script(shot, _verify(shot))}
    steps = [_paint_step(shot), verify]
    if shot.movie is not None:
        steps.append({"name": MOVIE, "dependencies": [{"dependsOn": VERIFY}], **_script(shot, _join(shot))})
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": shot.name[:128],
        "description": "Written by `impasto submit`. Frames that agree are kept; submit again for the rest.",
        "parameterDefinitions": [*map(_path_definition, shot.paths()), *_definitions(shot)],
        "steps": steps,
    }


def task_command(shot: ShotTemplate, folder: str) -> list[str]:
    """The command of one task with the paths of this machine, for farms of other kinds; FIRST-LAST are its frames."""
    values = {path.parameter: os.path.join(folder, path.value) for path in shot.paths()}
    values |= {_parameter_of(option): value for option, value in _valued(shot)} | {"Device": shot.device}
    command = [*shot.command, *_paint(shot)]
    for name, value in values.items():
        command = [each.replace(f"{{{{Param.{name}}}}}", value) for each in command]
    return [each.replace("{{Task.Param.Frames}}", "FIRST-LAST") for each in command]


def _paint_step(shot: ShotTemplate) -> dict[str, Any]:
    frames = {
        "name": "Frames",
        "type": "CHUNK[INT]",
        "range": "{{Param.Frames}}",
        "chunks": {
            "defaultTaskCount": "{{Param.ChunkSize}}",
            "targetRuntimeSeconds": SECONDS,
            "rangeConstraint": "CONTIGUOUS",
        },
    }
    step: dict[str, Any] = {
        "name": PAINT,
        "parameterSpace": {"taskParameterDefinitions": [frames]},
        "stepEnvironments": [_server(shot)],
        **_script(shot, _paint(shot)),
    }
    if shot.device != "cpu":
        step["hostRequirements"] = {"amounts": [{"name": "amount.worker.gpu", "min": 1}]}
    return step


def _server(shot: ShotTemplate) -> dict[str, Any]:
    """One warm server for each session, which ends with it."""
    serve = ["serve", "--detach", "--device", "{{Param.Device}}"]
    return {
        "name": "Server",
        "variables": {"IMPASTO_RUNTIME": "{{Session.WorkingDirectory}}/impasto", **_environment(shot)},
        "script": {"actions": {"onEnter": _action(shot, serve), "onExit": _action(shot, ["stop"])}},
    }


def _script(shot: ShotTemplate, arguments: Sequence[str]) -> dict[str, Any]:
    script: dict[str, Any] = {"script": {"actions": {"onRun": _action(shot, arguments)}}}
    if (variables := _environment(shot)) and arguments[0] != "render":
        script["stepEnvironments"] = [{"name": "Colour", "variables": variables}]
    return script


def _environment(shot: ShotTemplate) -> dict[str, str]:
    if isinstance(shot.ocio, JobPath):
        return {"OCIO": shot.ocio.reference}
    return {"OCIO": shot.ocio} if shot.ocio else {}


def _action(shot: ShotTemplate, arguments: Sequence[str]) -> dict[str, Any]:
    return {
        "command": shot.command[0],
        "args": [*shot.command[1:], *arguments],
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 30},
    }


def _paint(shot: ShotTemplate) -> list[str]:
    fixed = ["--frames", "{{Task.Param.Frames}}", "--resume", "--device", "{{Param.Device}}"]
    return ["render", shot.plates.reference, shot.output.reference, *fixed, *_look(shot), *_referenced(shot.run)]


def _verify(shot: ShotTemplate) -> list[str]:
    of_all = ["--against", shot.plates.reference, "--frames", "{{Param.Frames}}"]
    return ["verify", shot.output.reference, *of_all, *_look(shot)]


def _join(shot: ShotTemplate) -> list[str]:
    assert shot.movie is not None
    options = [word for option in shot.movie_options for word in option]
    return ["join", shot.output.reference, shot.movie.reference, "--overwrite", "--local", *options]


def _look(shot: ShotTemplate) -> list[str]:
    files = [word for option, path in shot.files for word in (option, path.reference)]
    style = ["--style", shot.style.reference, "--job", shot.job_file.reference]
    return [*style, *files, *_referenced(shot.look)]


def _referenced(options: Sequence[tuple[str, ...]]) -> list[str]:
    """Options with their values as parameters of the job."""
    return [
        word
        for option in options
        for word in (option if len(option) == 1 else (option[0], f"{{{{Param.{_parameter_of(option[0])}}}}}"))
    ]


def _valued(shot: ShotTemplate) -> list[tuple[str, str]]:
    return [(option[0], option[1]) for option in (*shot.look, *shot.run) if len(option) == 2]


def _parameter_of(option: str) -> str:
    """'--input-space' as 'InputSpace'."""
    return "".join(word.capitalize() for word in option.strip("-").split("-"))


def _path_definition(path: JobPath) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": path.parameter,
        "type": "PATH",
        "objectType": path.kind,
        "dataFlow": path.flow,
    }
    return found if os.path.isabs(path.value) else {**found, "default": path.value}


def _definitions(shot: ShotTemplate) -> list[Mapping[str, Any]]:
    return [
        {"name": "Frames", "type": "STRING", "default": shot.frames, "description": "Frames that are painted."},
        {
            "name": "ChunkSize",
            "type": "INT",
            "default": shot.chunk,
            "minValue": 1,
            "description": "Frames in a task; farms that measure adapt it.",
        },
        {"name": "Device", "type": "STRING", "default": shot.device, "description": "auto, cpu, cuda:N or mps."},
        *(
            {"name": _parameter_of(option), "type": "STRING", "default": value, "description": f"{option} of impasto."}
            for option, value in _valued(shot)
        ),
    ]
