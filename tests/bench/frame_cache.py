"""What a painted frame costs to keep and to find, in processor time of painting it.

On one thread, because processor time of waiting threads counts too. The folder is on the disk of the temporary files.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.server.frame_cache.keeping import Keeping
from impasto.server.frame_cache.painter import CachedPainter
from impasto.server.frame_cache.place import CacheChoice
from impasto.server.frame_cache.program import machine_of
from impasto.server.frame_cache.store import FrameStore

ROUNDS = 9
WAIT_S = 60.0
FRAMES: tuple[tuple[str, tuple[int, int, int], str], ...] = (
    ("640x360 8 bits RGB", (360, 640, 3), "uint8"),
    ("1080p half RGBA", (1080, 1920, 4), "float16"),
)


@dataclass(frozen=True, slots=True)
class KeptFigures:
    """One kind of frame; medians of milliseconds of processor time."""

    frame: str
    painted_ms: float
    missed: float
    """Named, painted and kept, over painted."""
    found: float
    """Named and found, over painted."""


def kept_figures(style: str) -> list[KeptFigures]:
    """Both ratios for each kind of frame, each frame seen once without the cache, once missed, once found."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [_figures(style, Path(folder), *each) for each in FRAMES]
    finally:
        torch.set_num_threads(threads)


def _figures(style: str, folder: Path, frame: str, shape: tuple[int, int, int], dtype: str) -> KeptFigures:
    keeping = Keeping(FrameStore(CacheChoice(folder, 1 << 30)))
    engine = Engine(style, device="cpu")
    painter = CachedPainter(engine, keeping, machine_of("cpu", "bench"))
    samples = np.random.default_rng(1)
    painted, missed, found = [], [], []

    def miss(plate: Frame) -> None:
        assert not painter.render(plate).report.cached
        assert keeping.settle(WAIT_S)

    def hit(plate: Frame) -> None:
        assert painter.render(plate).report.cached

    for turn in range(ROUNDS + 1):
        pixels = (samples.random(shape, np.float32) * (255 if dtype == "uint8" else 1)).astype(dtype)
        plate = Frame.from_pixels(pixels)
        spent = [_cpu_s(call, plate) for call in (engine.render, miss, hit)]
        if turn:  # the first frame warms up
            for times, seconds in zip((painted, missed, found), spent, strict=True):
                times.append(seconds)
    alone = statistics.median(painted)
    return KeptFigures(frame, 1000 * alone, statistics.median(missed) / alone, statistics.median(found) / alone)


def _cpu_s(call: Callable[[Frame], object], plate: Frame) -> float:
    begun = time.process_time()
    call(plate)
    return time.process_time() - begun
