"""Whole shots: what of the wall time the network has, and what a 4K frame needs of memory."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.malloc_settings import keep_freed_pages
from impasto.core.media import ShotInfo, open_writer
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob
from impasto.server.shots.render import render_shot
from tests.bench.bars import MOVIE_BARS, Bar

MOVIES = ((960, 540), (1280, 720))


@dataclass(frozen=True, slots=True)
class ShotFigure:
    """One shot from file to file."""

    name: str
    style: str
    frames: int
    frames_per_second: float
    network_share: float
    """Seconds in the network over seconds from first open to last rename; from 0 to 1."""
    reading_share: float
    """Waiting for the reader, and below for the writer."""
    writing_share: float
    reading_cpu_ms: float
    """Processor time for a frame: file, decoder, conversion."""
    writing_cpu_ms: float
    all_cpu_ms: float
    """Processor time of the whole process for a frame."""
    verdict: str
    """The bar of a movie, and whether it is met; empty for other shots."""


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A moving scene with texture, (H, W, 3) float32 in [0, 1]: easy on nobody's codec."""
    rng = np.random.default_rng(7)
    coarse = rng.random((height // 24 + 4, width // 24 + 40, 3), np.float32)
    scene = cv2.resize(coarse[:, index : index + width // 24 + 4], (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(scene + 0.03 * rng.standard_normal((height, width, 1), np.float32), 0, 1)


def make_movie(path: Path, frames: int, width: int, height: int) -> None:
    """An H.264 movie of `picture`, 24 frames per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24), options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            pixels = (picture(index, width, height) * 255).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def make_sequence(folder: Path, frames: int, width: int, height: int) -> str:
    """A half-float EXR sequence of `picture`; returns its pattern."""
    pattern = str(folder / "plate.%04d.exr")
    with open_writer(pattern, ShotInfo(pattern, "sequence", 1, frames, width, height)) as writer:
        for index in range(frames):
            pixels = np.power(picture(index, width, height), np.float32(2.2)).astype(np.float16)
            writer.write(Frame.from_pixels(pixels, number=index + 1))
    return pattern


def shot_figure(name: str, source: str, output: str, style: str, movie_height: int = 0) -> ShotFigure:
    """Render a shot once, the network warmed up, and divide its time."""
    engine = Engine(style, device="cpu")
    engine(Frame.from_pixels(np.zeros((720, 1280, 3), np.uint8 if movie_height else np.float32)))
    begun = time.process_time()
    result = render_shot(ShotJob(RenderSettings(style), source, output, overwrite=True), engine)
    assert isinstance(result, ShotDone)
    stages, seconds, all_cpu_s = result.stages, result.seconds, time.process_time() - begun
    bar = MOVIE_BARS.get((engine.style.card.size, movie_height))
    return ShotFigure(
        name,
        style,
        result.rendered,
        result.rendered / seconds,
        stages["network"] / seconds,
        stages.get("reading", 0.0) / seconds,
        stages.get("writing", 0.0) / seconds,
        1000 * stages["reading_cpu"] / result.rendered,
        1000 * stages["writing_cpu"] / result.rendered,
        1000 * all_cpu_s / result.rendered,
        "" if bar is None else Bar(bar).verdict(result.rendered / seconds),
    )


def shot_figures(styles: tuple[str, ...]) -> list[ShotFigure]:
    """H.264 movies of 540p and 720p and a 1080p half EXR sequence through each style."""
    keep_freed_pages()
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for width, height in MOVIES:
            make_movie(folder / f"{height}.mp4", 48, width, height)
        sequence = make_sequence(folder, 16, 1920, 1080)
        for style in styles:
            for _, height in MOVIES:
                name, source = f"{height}p H.264 movie, 48 frames", str(folder / f"{height}.mp4")
                figures.append(shot_figure(name, source, str(folder / "painted.mp4"), style, height))
            painted = str(folder / "painted.%04d.exr")
            figures.append(shot_figure("1080p half EXR, 16 frames", sequence, painted, style))
    return figures


def peak_of_4k(style: str) -> float:
    """Resident memory that rendering one 3840x2160 half RGBA frame adds, over its own size, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_measure_4k, args=(style, answer))
    process.start()
    process.join(600)
    return float(answer.get())


def _measure_4k(style: str, answer: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    engine = Engine(style, device="cpu")
    engine(Frame.from_pixels(np.full((64, 64, 4), 0.5, np.float16)))
    frame = Frame.from_pixels(np.full((2160, 3840, 4), 0.5, np.float16))
    before = _most_resident()
    engine(frame)
    answer.put((_most_resident() - before) * 1024 / frame.part.pixels.nbytes)


def _most_resident() -> int:
    """KiB that this program had in memory at most; getrusage would count its parent's before it was started."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])
