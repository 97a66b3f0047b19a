"""A file beside painted frames that says with which settings they were painted."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "impasto_painted.json"


@dataclass(frozen=True)
class PaintedSettings:
    """What frames were painted with; empty where nothing is known."""

    key: str = ""
    """Fingerprint of the settings and the input, see `Plan.key`."""
    style_digest: str = ""
    """SHA-256 of the style's weights."""


def store_settings(root: Path, settings: PaintedSettings) -> None:
    """Note the settings for all frames of a node's folder. Raises OSError."""
    partial = root / f".{NAME}.{os.getpid()}"
    partial.write_text(json.dumps(asdict(settings)), encoding="utf-8")
    os.replace(str(partial), str(root / NAME))


def remove_settings(root: Path) -> None:
    """Remove the note, before the first frame changes. Raises OSError."""
    if (root / NAME).exists():
        (root / NAME).unlink()


def settings_of(pattern: str) -> PaintedSettings:
    """The settings noted for the frames of a pattern below a node's folder; empty ones where there is no note."""
    if not pattern:
        return PaintedSettings()
    try:
        # <root>/painted/<view>/painted.%04d.exr
        facts = json.loads((Path(pattern).parents[2] / NAME).read_text(encoding="utf-8"))
        return PaintedSettings(str(facts["key"]), str(facts["style_digest"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return PaintedSettings()
