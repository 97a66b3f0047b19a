"""A server in a process of its own with the fake worker, as one line of JSON on the command line describes it.

It prints "ready" once clients can connect, and ends with the exit code of `serve`. Faults that no setting describes
are done to the process: limits of the system, a wall clock that jumps, memory that is not there.
"""

from __future__ import annotations

import errno
import faulthandler
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from impasto.server.front.server import serve
from impasto.server.protocol.limits import Limits
from impasto.server.settings import ServerSettings

DAY_S = 86_400.0


def main() -> int:
    """Serve until a client or a signal ends it."""
    faulthandler.enable()
    asked: dict[str, Any] = json.loads(sys.argv[1])
    for name, limit in asked.get("rlimits", {}).items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    if asked.get("clock_jumps"):
        let_the_wall_clock_jump()
    if asked.get("no_memory"):
        let_no_ring_be_made()
    if asked.get("no_memfd"):
        let_segments_be_files()
    settings = ServerSettings(
        folder=Path(asked["folder"]),
        devices=tuple(asked.get("devices", ["cpu"])),
        styles=(Path(asked["styles"]),),
        worker_command=tuple(asked["worker_command"]),
        limits=Limits(**asked.get("limits", {})),
        listen=asked.get("listen"),
        keys=Path(asked["keys"]) if "keys" in asked else None,
    )
    return serve(settings, on_ready=lambda: print("ready", flush=True))


def let_the_wall_clock_jump() -> None:
    """Every look at the wall clock shows another day than the one before."""
    real, days = time.time, itertools.cycle((1, -1, 0, -30, 365))
    time.time = lambda: real() + DAY_S * next(days)


def let_no_ring_be_made() -> None:
    """Behave as a machine without memory, for rings alone."""
    import impasto.server.front.rings as rings
    from impasto.server.shared_memory import NoRoom

    def refuse(slot_bytes: int, pairs: int) -> Any:
        raise NoRoom(f"expected memory for {pairs} pairs of {slot_bytes} bytes, there is none")

    rings.create_segment = refuse


def let_segments_be_files() -> None:
    """Behave as a system without memfd: segments are named files, which every process that opens one can truncate."""

    def refuse(name: str, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "no memfd here")

    os.memfd_create = refuse


if __name__ == "__main__":
    sys.exit(main())
