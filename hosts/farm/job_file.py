"""`job.json` of a job bundle: what every machine that paints a part of the job must have in common."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from impasto.core.errors import StyleError, UnsuitableMachine, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass

NAME = "job.json"


@frozen_dataclass
class FarmJob:
    """One submission of one shot."""

    id: str
    """Begins with the time of the submission, so that names sort by it; see `new_id`."""
    impasto: str
    """The version that wrote the job, and that paints it."""
    style_sha256: str
    """Of the weights, as every frame notes it."""


def new_id(now: float | None = None) -> str:
    """A name for a job: '20261201T080000Z-0a1b2c', UTC and chance."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return f"{stamp}-{secrets.token_hex(3)}"


def farm_job_for(style: str) -> FarmJob:
    """A new job with this installation and this style. Raises what finding and reading the style raise."""
    return FarmJob(new_id(), version("impasto"), _sha256_of(style))


def write_farm_job(job: FarmJob, path: Path) -> None:
    """Store a job; OSError as it comes."""
    path.write_text(json.dumps(asdict(job), indent=1) + "\n", encoding="utf-8")


def read_farm_job(path: str) -> FarmJob:
    """The job of a file. UsageError for a file that is none, UnsuitableMachine where there is none."""
    try:
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
        found = FarmJob(**{name: facts[name] for name in ("id", "impasto", "style_sha256")})
        if not all(isinstance(text, str) and 0 < len(text) <= 255 for text in asdict(found).values()):
            raise ValueError("a fact that is no short text")
    except OSError as error:
        raise UnsuitableMachine(
            f"expected the job file '{path}', got '{error.strerror}'; mount its folder on this machine"
        ) from error
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"expected a job file of `impasto submit` at '{path}', got {error!r}; submit again") from error
    return found


def require_same(job: FarmJob, *, input: str, output: str, style: str) -> None:
    """Refuse a machine or a style that would paint something else than the job was written for.

    Raises UnsuitableMachine for another version and for the folders of plates and results that are not mounted here:
    made on the spot, a folder of results would fill this machine's own disk. StyleError for a style that was changed.
    """
    own = version("impasto")
    if own != job.impasto:
        raise UnsuitableMachine(
            f"expected impasto {job.impasto}, which wrote job '{job.id}', this machine has {own}; install the same"
        )
    plates, results = _folder_of(input), os.path.dirname(_folder_of(output))
    for folder in (plates, results):
        if not os.path.isdir(folder):
            raise UnsuitableMachine(
                f"expected the folder '{folder}', which job '{job.id}' was written for; mount it on this machine"
            )
    found = _sha256_of(style)
    if found != job.style_sha256:
        raise StyleError(
            f"expected the style of job '{job.id}' (weights {job.style_sha256[:12]}…) at '{style}', found weights "
            f"{found[:12]}…; submit again with this one, or put the other back"
        )


def _folder_of(path: str) -> str:
    """The folder that a path, a pattern or a folder means."""
    path = os.path.abspath(path)
    return path if not os.path.splitext(path)[1] or os.path.isdir(path) else os.path.dirname(path)


def _sha256_of(style: str) -> str:
    from impasto.core.style_file import find_style, read_card

    return read_card(find_style(style)).weights_sha256
