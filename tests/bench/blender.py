"""What a 1080p frame costs inside Blender over the engine alone: baked in both ways, and live in a final render."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.malloc_settings import keep_freed_pages
from impasto.core.media import open_reader
from impasto.server.client import Client
from tests.bench.shots import make_sequence
from tests.hosts.blender.in_blender import VERSIONS, environments, impasto_command, in_blender
from tests.hosts.blender.inside import timing

WIDTH, HEIGHT, FRAMES = 1920, 1080, 12


@dataclass(frozen=True, slots=True)
class InBlender:
    """Milliseconds for a frame of a half EXR sequence, over the whole shot, files read and written."""

    blender: str
    style: str
    engine_ms: float
    """The engine alone, from array to array, median of the frames."""
    plain_ms: float
    """Blender's own render of the strip to half EXR, without any style."""
    bake_ms: float
    """The server reads the strip's files."""
    bake_rendered_ms: float
    """Blender renders the strip first."""
    live_ms: float | None
    """A final render with a live strip; None before 5.0."""


def blender_figures(style: str) -> list[InBlender]:
    """Every Blender that is installed, with a warm server."""
    versions = [each for each in VERSIONS if (environments() / each / "bin" / "python").exists()]
    with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
        scratch = Path(folder)
        clip = scratch / "clip"
        clip.mkdir()
        with open_reader(make_sequence(clip, FRAMES, WIDTH, HEIGHT)) as plates:
            frames = list(plates)
        engine_ms = _engine_ms(style, frames)
        command = impasto_command(scratch)
        environment = {"IMPASTO_RUNTIME": str(scratch / "run"), "IMPASTO_COMMAND": str(command)}
        with Client.connect(
            scratch / "run", command=(str(command), "serve", "--idle-exit", "60"), timeout_s=60
        ) as server:
            server.submit(frames[0].part.pixels, style=style).result(120).release()
            found = []
            for version in versions:
                out = scratch / version
                out.mkdir()
                arguments = (str(out), str(clip), style, [WIDTH, HEIGHT])
                took = in_blender(version, timing.seconds_per_frame, *arguments, environment=environment, timeout_s=600)
                ms = {name: 1e3 * seconds for name, seconds in took.items()}
                found.append(
                    InBlender(version, style, engine_ms, ms["plain"], ms["bake"], ms["bake_rendered"], ms.get("live"))
                )
            server.shut_down(at_once=True)
    return found


def _engine_ms(style: str, frames: list[Frame]) -> float:
    keep_freed_pages()
    engine = Engine(style)
    engine(frames[0])
    took = []
    for frame in frames:
        begun = time.perf_counter()
        engine(frame)
        took.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(took))
