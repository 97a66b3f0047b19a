"""The settings of a server, as plain values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from impasto.server.protocol.limits import Limits

WORKER_COMMAND = (sys.executable, "-m", "impasto.server.worker")
"""What a worker is started with; `--fd N --device NAME` is added."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder below which clients of other machines may name files."""

    folder: Path
    writable: bool = False


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that decides how a server runs."""

    folder: Path
    """The runtime folder: sockets, lock and log."""
    devices: tuple[str, ...] = ("auto",)
    styles: tuple[Path, ...] = ()
    """Folders that are watched, before the built-in styles."""
    listen: str | None = None
    """'tcp://HOST:PORT' for clients of other machines; data is on the next port."""
    idle_exit_s: float | None = None
    metrics_port: int | None = None
    roots: Mapping[str, Root] = field(default_factory=dict)
    keys: Path | None = None
    """The folder of CURVE keys; None: the user's own."""
    cache: str = ""
    """What `impasto.server.frame_cache.place.cache_choice` takes: a size, 'read-only', 'off', or nothing."""
    limits: Limits = field(default_factory=Limits)
    worker_command: Sequence[str] = WORKER_COMMAND
