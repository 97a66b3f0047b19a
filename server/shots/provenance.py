"""What is written into every frame of a shot job, and whether a frame on disk still agrees with it.

The engine notes style, hash, parameters, grade and version. A job adds its settings and the files that the frame was
made of.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from impasto.core.frame import Frame
from impasto.core.media.held_folder import real_path

STYLE, PRECISION = "style_sha256", "precision"
"""Entries of the engine that a resumed run compares."""
GUIDES, GUIDE_STAMPS = "guides", "guide_stamps"
MOTION_STAMPS = "motion_stamps"
SETTINGS, SOURCE, SOURCE_STAMP, MATTE, MATTE_STAMP = "settings", "source", "source_stamp", "matte", "matte_stamp"


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
) -> Frame:
    """The painted frame with the job's part of its provenance beside the engine's.

    `guides` are pictures of layers, `motion_stamps` a digest of all files of vectors that the frame depends on.
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
    return replace(painted, provenance=noted)


def agrees(
    stored: Mapping[str, str],
    *,
    settings: str,
    style_sha256: str,
    precision: Callable[[], str],
    source: str,
    motion_stamps: str | None = None,
) -> bool:
    """Whether a finished frame was made by this style with these settings from files that are still the same.

    `source` is the movie or the picture that the frame is made of. `precision` is called last, because it may have to
    look at the devices. A frame without provenance never agrees.
    """
    if stored.get(STYLE) != style_sha256 or stored.get(SETTINGS) != settings:
        return False
    if stored.get(SOURCE) != real_path(source) or stored.get(PRECISION) != precision():
        return False
    if stored.get(MOTION_STAMPS) != motion_stamps:
        return False
    if GUIDES in stored and stored.get(GUIDE_STAMPS, "") != _noted_stamps(stored[GUIDES]):
        return False
    return all(
        stored.get(noted_stamp) == stamp(stored[noted])
        for noted, noted_stamp in ((SOURCE, SOURCE_STAMP), (MATTE, MATTE_STAMP))
        if noted in stored
    )


def stamp(path: str) -> str:
    """Size and time of change of a file, which differ where a plate was rendered anew; '' where there is no file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # a noted path may hold anything
        return ""
    return f"{facts.st_size}-{facts.st_mtime_ns}"


def _noted_stamps(paths: str) -> str | None:
    """The stamps of the paths that a frame names as JSON, None where it names none: the frame may be anybody's."""
    try:
        return _stamps([str(path) for path in json.loads(paths)])
    except (ValueError, TypeError, RecursionError):
        return None


def _stamps(paths: Sequence[str]) -> str:
    return " ".join(stamp(path) for path in paths)
