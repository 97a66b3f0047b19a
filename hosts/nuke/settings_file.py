"""The mark beside painted frames: with which settings all of them were painted."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "impasto_painted.json"


@dataclass(frozen=True)
class Mark:
    """What is said of painted frames; empty texts say nothing."""

    key: str = ""
    """Of the settings and the input."""
    style_digest: str = ""
    """Of the style's weights."""


def set_mark(root: Path, mark: Mark) -> None:
    """Say of all frames of a node's folder what they were painted with. Raises OSError."""
    partial = root / f".{NAME}.{os.getpid()}"
    partial.write_text(json.dumps(asdict(mark)), encoding="utf-8")
    os.replace(str(partial), str(root / NAME))


def drop_mark(root: Path) -> None:
    """Say nothing of them any more, before the first of them changes. Raises OSError."""
    if (root / NAME).exists():
        (root / NAME).unlink()


def mark_of(pattern: str) -> Mark:
    """What is said of the frames of a pattern below a node's folder; an empty mark where nothing is."""
    if not pattern:
        return Mark()
    try:
        # <root>/painted/<view>/painted.%04d.exr
        said = json.loads((Path(pattern).parents[2] / NAME).read_text(encoding="utf-8"))
        return Mark(str(said["key"]), str(said["style_digest"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return Mark()
