"""Whether a result on disk is what a job asks for: every frame there, whole, and of this plate, style and settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from impasto.core.card import Card
from impasto.core.errors import MediaError, UsageError
from impasto.core.media import FrameRange, ShotInfo, open_reader, target_of
from impasto.core.media.open import picture_target
from impasto.core.media.picture_reader import read_header, read_parts
from impasto.core.media.sequence import Files
from impasto.server.protocol.messages import ShotJob
from impasto.server.shots.configuration import configured
from impasto.server.shots.expected_shot import ExpectedShot
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.job import deinterlaces, frames_of, motion_of
from impasto.server.shots.motion import require_motion
from impasto.server.shots.plates import whole_range
from impasto.server.shots.provenance import PRECISION

FaultKind = Literal["missing", "torn", "stale", "look"]


@dataclass(frozen=True, slots=True)
class FrameFault:
    """A frame that is not what was asked for."""

    number: int
    path: str
    kind: FaultKind
    """'stale': plate, matte, guides or motion have changed since; 'look': another style, settings or plate."""
    what: str


@dataclass(frozen=True, slots=True)
class ShotVerified:
    """What was found."""

    output: str
    frames: int
    """That were looked for."""
    faults: tuple[FrameFault, ...]
    """By frame."""
    notes: tuple[str, ...]


def verify_shot(job: ShotJob, card: Card, runs: Sequence[FrameRange] = ()) -> ShotVerified:
    """Look at every frame of a job's result, or at those of some runs, and decode it to its end; nothing is changed.

    Where the job leaves the precision to the device, every precision is accepted, and a note tells of several. Raises
    what rendering the job would raise for its input and settings, UsageError for a movie as output.
    """
    with configured(job) as ocio:
        settings = ShotSettings(job, card.defaults, ocio)
        infos = [_info_of(job, each) for each in runs] or [_info_of(job, frames_of(job))]
        info = infos[0]
        files = picture_target(job.output, info)
        if files is None or info.frame_count is None:
            raise UsageError(
                f"expected a sequence or a still of a plate that has an end, got '{job.output}' of '{job.input}'; a "
                "movie has its name once it is whole"
            )
        asked = motion_of(job)
        motion = require_motion(asked if settings.keys_show(info, card.keys) else None, card, info)
        bears = target_of(job.output, info).provenance
        whole = whole_range(job, deinterlace=deinterlaces(job, card.name)) if job.smoothing else None
        shot = ExpectedShot(job, info, settings, motion, card.weights_sha256, lambda: job.look.precision, whole)
        numbers = [number for each in infos for number in range(each.first, each.first + (each.frame_count or 0))]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="impasto-verify") as pool:
            found = list(pool.map(lambda number: _looked_at(shot, files, number, bears=bears), numbers))
    faults = tuple(each for each in found if isinstance(each, FrameFault))
    return ShotVerified(str(files), len(numbers), faults, tuple(_notes(found, str(files), bears=bears)))


def _info_of(job: ShotJob, run: FrameRange | None) -> ShotInfo:
    with open_reader(job.input, frames=run, layer=job.layer or None) as reader:
        return reader.info


def _looked_at(shot: ExpectedShot, files: Files, number: int, *, bears: bool) -> FrameFault | str:
    """What is wrong with a frame, or the precision that it was painted in."""
    path = files if isinstance(files, str) else files.path_of(number)
    if not os.path.exists(path):
        return FrameFault(number, path, "missing", "there is no file")
    try:
        stored = read_header(path).provenance
        read_parts(path)
    except MediaError as error:
        return FrameFault(number, path, "torn", str(error))
    if not bears:
        return ""
    expected = shot.frame(number)
    precision = stored.get(PRECISION, "")
    if shot.job.look.precision == "auto" and precision:
        expected = expected.in_precision(precision)
    wrong = expected.disagreement(stored)
    return precision if wrong is None else FrameFault(number, path, wrong.kind, wrong.what)


def _notes(found: list[FrameFault | str], output: str, *, bears: bool) -> Iterator[str]:
    if not bears:
        yield f"'{output}' cannot bear how a frame was made: only that each is there and whole was looked at"
    precisions = sorted({each for each in found if isinstance(each, str) and each})
    if len(precisions) > 1:
        yield f"frames are painted in {' and in '.join(precisions)}; give --precision to all machines"
