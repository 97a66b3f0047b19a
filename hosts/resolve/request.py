"""What the user asks for: which part of the timeline, painted how, placed where."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Mapping

from impasto.hosts.bridge.errors import BridgeError

SCOPES: tuple[str, ...] = ("clip", "marks", "timeline")
"""The clip under the playhead; the clips between the in and out marks, each by itself; all in one."""
PLACES: tuple[str, ...] = ("track", "take")
"""On a video track above; as another take of the clip itself."""
TRACK = "Impasto"
"""The name of our video tracks, by which we recognise them."""
MOST_HANDLES = 1000
NAME = "impasto_resolve.json"


@dataclass(frozen=True)
class Request:
    """The settings of a job. BridgeError for a combination that cannot work."""

    style: str = ""
    scope: str = "clip"
    place: str = "track"
    handles: int = 0
    """Frames of the clip beyond its cut, at both ends, as far as there are any."""
    track: int = 0
    """The video track for the scope `marks`; 0 is the track of the clip under the playhead, or the first."""
    params: Mapping[str, float] = field(default_factory=dict)
    input_space: str = ""
    """Instead of the space in Resolve's settings."""
    folder: str = ""
    """Where plates and results are kept; empty is a folder of its own in the user's home."""

    def __post_init__(self) -> None:
        for name, value, known in (("scope", self.scope, SCOPES), ("place", self.place, PLACES)):
            if value not in known:
                raise BridgeError("expected {} among {}, got '{}'".format(name, ", ".join(known), value))
        if not 0 <= self.handles <= MOST_HANDLES:
            raise BridgeError(f"expected 0 to {MOST_HANDLES} frames of handles, got {self.handles}")
        if self.scope == "timeline" and (self.place == "take" or self.handles):
            raise BridgeError(
                "expected no take and no handles for a whole timeline; choose its clips with marks instead"
            )

    def root(self) -> Path:
        """The folder that holds a folder for every job."""
        return Path(self.folder) if self.folder else Path(os.path.expanduser("~")) / "Impasto" / "Resolve"


def request_from(facts: Mapping[str, Any]) -> Request:
    """A request from JSON. Unknown fields are ignored, so that files of other versions work."""
    known = Request.__dataclass_fields__
    try:
        return Request(**{name: value for name, value in facts.items() if name in known})
    except TypeError as error:
        raise BridgeError(f"expected the settings of a request, got {facts!r} ({error})") from error


def remember(request: Request, root: Path) -> None:
    """Store a request for the next time; a failure is ignored."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / NAME).write_text(json.dumps(asdict(request), indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError:
        pass


def remembered(root: Path) -> Request | None:
    """The last request, None where there is none or it does not work any more."""
    try:
        facts: dict[str, Any] = json.loads((root / NAME).read_text(encoding="utf-8"))
        return request_from(facts)
    except (OSError, ValueError, AttributeError, RecursionError, BridgeError):
        return None
