"""What is written into every frame of a shot job, and whether a frame on disk still agrees with it.

The engine notes style, hash, parameters, grade and version. A job adds its settings and the files that the frame was
made of.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from impasto.core.errors import OutputError
from impasto.core.frame import Frame
from impasto.core.media.held_folder import real_path

STYLE, PRECISION = "style_sha256", "precision"
"""Entries of the engine that a resumed run compares."""
GUIDES, GUIDE_STAMPS = "guides", "guide_stamps"
MOTION_STAMPS = "motion_stamps"
AROUND_STAMPS = "around_stamps"
"""Of the plates around a frame that is smoothed, where each is a file of its own."""
SETTINGS, SOURCE, SOURCE_STAMP, MATTE, MATTE_STAMP = "settings", "source", "source_stamp", "matte", "matte_stamp"
JOB, ATTEMPT = "job", "attempt"
"""Which farm job a frame is of, and which attempt at a part of it made it; they do not change what a frame is."""


def settings_text(settings: Mapping[str, object]) -> str:
    """Settings as one line of JSON, the same for the same settings; what is None is left out."""
    given = {name: value for name, value in settings.items() if value is not None}
    return json.dumps(given, sort_keys=True, ensure_ascii=False)


def with_provenance(
    painted: Frame,
    settings: str,
    plate: Frame,
    matte: Frame | None,
    guides: Sequence[str] = (),
    motion_stamps: str | None = None,
    around: Sequence[str] = (),
) -> Frame:
    """The painted frame with the job's part of its provenance beside the engine's.

    `guides` are pictures of layers, `motion_stamps` a digest of all files of vectors that the frame depends on,
    `around` the files of the plates that it looks at beside its own.
    """
    source = real_path(plate.source)
    noted = {**painted.provenance, SETTINGS: settings, SOURCE: source, SOURCE_STAMP: stamp(source)}
    if matte is not None:
        noted |= {MATTE: real_path(matte.source), MATTE_STAMP: stamp(matte.source)}
    if guides:
        pictures = [real_path(each) for each in guides]
        noted |= {GUIDES: json.dumps(pictures, ensure_ascii=False), GUIDE_STAMPS: _stamps(pictures)}
    if motion_stamps is not None:
        noted[MOTION_STAMPS] = motion_stamps
    if around:
        noted[AROUND_STAMPS] = _stamps(around)
    return replace(painted, provenance=noted)


@dataclass(frozen=True, slots=True)
class ExpectedFrame:
    """What a frame notes that was made by this style with these settings from files that are still the same."""

    settings: str
    style_sha256: str
    precision: Callable[[], str]
    """Asked last, because it may have to look at the devices."""
    source: str
    """The movie or the picture that the frame is made of."""
    matte: str = ""
    guides: Sequence[str] = ()
    """As the job names them, patterns and all."""
    motion_stamps: str | None = None
    around: Sequence[str] = ()
    """The files of the plates that it looks at beside its own."""

    def in_precision(self, precision: str) -> ExpectedFrame:
        """The same frame in a given precision."""
        return replace(self, precision=lambda: precision)

    def disagreement(self, stored: Mapping[str, str]) -> Disagreement | None:
        """Why a finished frame is not this one; None where it is. A frame without provenance never is.

        The machines of a farm may have the same files in different folders: a plate is the same by its name, size and
        time of change.
        """
        if stored.get(STYLE) != self.style_sha256:
            return Disagreement("look", f"style {stored.get(STYLE, 'unknown')[:12]}")
        if _by_name(stored.get(SETTINGS, "")) != _by_name(self.settings):
            return Disagreement("look", f"settings {stored.get(SETTINGS, 'unknown')}")
        if os.path.basename(stored.get(SOURCE, "")) != os.path.basename(real_path(self.source)):
            return Disagreement("look", f"plate {stored.get(SOURCE, 'unknown')}")
        if stored.get(SOURCE_STAMP) != stamp(self.source):
            return Disagreement("stale", "the plate has changed since")
        if MATTE in stored and stored.get(MATTE_STAMP) != stamp(_in_folder_of(self.matte, stored[MATTE])):
            return Disagreement("stale", "the matte has changed since")
        if GUIDES in stored and stored.get(GUIDE_STAMPS, "") != _noted_stamps(stored[GUIDES], self.guides):
            return Disagreement("stale", "the guide layers have changed since")
        if stored.get(MOTION_STAMPS) != self.motion_stamps:
            return Disagreement("stale", "the motion vectors have changed since")
        if self.around and stored.get(AROUND_STAMPS) != _stamps(self.around):
            return Disagreement("stale", "a plate beside it has changed since")
        if stored.get(PRECISION) != (precision := self.precision()):
            return Disagreement("look", f"precision {stored.get(PRECISION, 'unknown')} instead of {precision}")
        return None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Why a frame on disk is not the one that is wanted."""

    kind: Literal["look", "stale"]
    """Another style, settings or plate; or the same, of files that have changed since."""
    what: str


PATHS = ("matte", "guides", "motion")
"""Settings that name files."""


def _by_name(settings: str) -> object:
    """Settings with the files they name by their names alone."""
    if not any(f'"{name}"' in settings for name in PATHS):
        return settings
    try:
        facts = json.loads(settings)
        return {name: _names_of(value) if name in PATHS else value for name, value in facts.items()}
    except (AttributeError, RecursionError, TypeError, ValueError):  # the file's own text, whatever it says
        return settings


def _names_of(paths: str | list[str]) -> list[str]:
    return [os.path.basename(path) for path in ([paths] if isinstance(paths, str) else paths)]


def _in_folder_of(own: str, stored: str) -> str:
    """A file of another machine where this machine has it: in the folder that the job's own path means."""
    return os.path.join(own if os.path.isdir(own) else os.path.dirname(own), os.path.basename(stored))


def refuse_newer_job(stored: Mapping[str, str], job: str, settings: str, style: str) -> None:
    """Raise OutputError for a frame that does not agree and is of a job that was submitted after this one.

    The names of jobs begin with the time at which they were submitted, so nothing here looks at a clock. `settings` and
    `style` are this job's, for the message.
    """
    other = stored.get(JOB, "")
    if job and other > job:
        raise OutputError(
            f"expected no frames of a job newer than '{job}' (style {style}, settings {settings}), found one of"
            f" '{other}' (style {stored.get('style', 'unknown')}, settings {stored.get(SETTINGS, 'unknown')}); end one"
            " of the two, or name another output"
        )


def stamp(path: str) -> str:
    """Size and time of change of a file, which differ where a plate was rendered anew; '' where there is no file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # a noted path may hold anything
        return ""
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def _noted_stamps(paths: str, own: Sequence[str]) -> str | None:
    """The stamps of the paths that a frame names as JSON, None where it names none: the frame may be anybody's.

    `own` are the patterns of the job, in whose folders this machine has those files.
    """
    try:
        return _stamps([_in_folder_of(mine, str(path)) for mine, path in zip(own, json.loads(paths), strict=False)])
    except (ValueError, TypeError, RecursionError):
        return None


def _stamps(paths: Sequence[str]) -> str:
    return " ".join(stamp(path) for path in paths)
