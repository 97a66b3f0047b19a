"""A check of `impasto live`: where its pictures can go."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

from impasto.hosts.events import CheckDone
from impasto.hosts.terminal.failure import EXTRAS


def check_live_sinks() -> Iterator[CheckDone]:
    """What pictures can be sent to, and why not to the others."""
    import av

    from impasto.core.media.protocols import has_protocol
    from impasto.hosts.live.sinks.network import srt_problem

    if "libx264" not in av.codecs_available:
        hint = "install PyAV from PyPI (pip install --force-reinstall av); it brings the encoder"
        yield CheckDone("live sinks", "warning", "no libx264, so neither movies nor streams", hint)
        return
    pages = [] if any(find_spec(name) is None for name in EXTRAS["web"]) else ["browser"]
    works = [*pages, "movies", *(f"{name}://" for name in ("udp", "rtmp") if has_protocol(name))]
    problems = {"srt": srt_problem(), "v4l2": camera_problem()}
    works += [name for name, problem in problems.items() if not problem]
    yield CheckDone("live sinks", "ok", ", ".join(works), "")
    for name, problem in problems.items():
        if problem:
            found, _, hint = problem.rpartition("; ")
            yield CheckDone(f"live sink {name}", "warning", found, hint)


def camera_problem() -> str:
    """Why no virtual camera can be written to; empty where one can."""
    if not sys.platform.startswith("linux"):
        return "virtual cameras are written to on Linux alone; take the page into OBS and start its virtual camera"
    from impasto.hosts.live.sinks.v4l2 import virtual_camera_problem

    return virtual_camera_problem()
