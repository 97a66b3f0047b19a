"""What `clean` gains on a cheap camera at night: low light, noise, H.264 at a low rate, 704x576 at 15 frames a second.

    python -m tests.bench.surveillance --media DIR [--style clean clean-draft] [--sheet FILE.png]

`--media` is the folder with the larger test media. Its three clips here (a road from a car, a street with cuts, a face)
come from sources that the cards of the styles do not name. Each is scaled and cropped to 704x576, darkened by `STOPS`,
given the noise of a sensor (`NIGHT`, drawn for every frame) and written by libx264 at `BIT_RATE` into a movie. That
movie is read and painted as `impasto render` does it, with `--before-exposure`, and compared with the clean clip, so
that all figures are of brightened pictures. Beside it: the movie only brightened, the same style in the dark with
its result brightened, `--before-denoise` alone and before the style, and OpenCV's non-local means and bilateral filter
at the strength that is best for the clip in hindsight. Gains are in dB over the movie only brightened. `ms` is CPU time
a frame.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from impasto.core.colour import decode, encode, to_float
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import Before
from impasto.core.media import open_reader
from impasto.core.metrics import psnr
from impasto.training.teachers.degradation import Damage, chance_of, noised
from tests.bench.enhancement import STRENGTHS, as_bytes, non_local_means
from tests.bench.keyframes import mean, ssim

WIDTH, HEIGHT, RATE = 704, 576, 15
BIT_RATE = 300_000
STOPS = 3.0
NIGHT = Damage(shot=1.5e-3, read=4e-3)
CLIPS = {
    "highway": ("clips/drive_highway_540p25.mp4", 25),
    "street": ("clips/street_bikes_cuts_272p25.mp4", 25),
    "face": ("keyframes/lili/input/#####.jpg", 30),
}
"""Name -> file, and its frames a second."""
FRAMES = 30
JUDGED = (13, 21, 29)
BRIGHTER = Before(exposure=STOPS)
BILATERAL = (0.05, 0.1, 0.2)
"""Strengths: the standard deviation in value, of 3 pixels in space."""
SHOWN = ("brightened", "clean", "denoise 0.5", "denoise 0.5, clean", "non-local means 6")
"""What the sheet shows."""
Step = Callable[[Frame], Samples]


def main() -> None:
    """Print a table for each clip."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--media", type=Path, required=True)
    arguments.add_argument("--style", nargs="+", default=["clean", "clean-draft"])
    arguments.add_argument("--sheet", type=Path, help="Draw a part of each clip at 1:1: SHOWN, and the truth.")
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    engines = {name: Engine(name, device="cpu") for name in ("identity", *given.style)}
    rows: list[Samples] = []
    for name, (file, fps) in CLIPS.items():
        truth = clip_of(given.media / file, fps)
        with tempfile.TemporaryDirectory() as folder:
            movie = Path(folder) / "night.mp4"
            write_night(truth, movie)
            print(f"{name}: {movie.stat().st_size * 8 * RATE / len(truth) / 1000:.0f} kbit/s", flush=True)
            with open_reader(str(movie)) as reader:
                frames = [frame for number, frame in enumerate(reader) if number in JUDGED]
        rows.append(report(frames, [truth[number] for number in JUDGED], engines))
    if given.sheet:
        cv2.imwrite(str(given.sheet), as_bytes(np.vstack(rows)[..., ::-1]))


def clip_of(path: Path, fps: int) -> list[Samples]:
    """`FRAMES` frames at `RATE` of a clip, scaled to cover the picture of the camera and cut to it."""
    wanted = {round(number * fps / RATE) for number in range(FRAMES)}
    with open_reader(str(path)) as reader:
        frames = enumerate(islice(reader, max(wanted) + 1))
        return [_covering(to_float(frame.colour)) for number, frame in frames if number in wanted]


def write_night(truth: list[Samples], path: Path) -> None:
    """What the camera records of these frames."""
    chance = chance_of(path.name)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", BIT_RATE
        stream.options = {"preset": "fast", "threads": "1"}
        for picture in truth:
            dark = noised(encode(decode(picture) * np.float32(2.0**-STOPS)), NIGHT, chance)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(as_bytes(dark), format="rgb24")))
        container.mux(stream.encode(None))


def report(frames: list[Frame], truth: list[Samples], engines: dict[str, Engine]) -> Samples:
    """Print what every way makes of the frames; a part of the last at 1:1, for the sheet."""
    kept: dict[str, list[Samples]] = {}
    base = 0.0
    for way, step in ways_of(engines).items():
        begun = time.process_time()
        results = [step(frame) for frame in frames]
        spent = 1000 * (time.process_time() - begun) / len(frames)
        if way in SHOWN:
            kept[way] = results
        level = mean(psnr(result, wanted) for result, wanted in zip(results, truth, strict=True))
        alike = mean(ssim(result, wanted) for result, wanted in zip(results, truth, strict=True))
        base = base or level
        print(f"  {way:34} {level:6.2f} dB {level - base:+5.2f}   ssim {alike:.3f}   {spent:5.0f} ms", flush=True)
    return np.hstack([_part(results[-1]) for results in (*kept.values(), truth)])


def ways_of(engines: dict[str, Engine]) -> dict[str, Step]:
    """Name -> what makes a brightened picture of a frame of the movie. The first is the movie only brightened."""
    plain = engines["identity"]

    def rendered(engine: Engine, before: Before = BRIGHTER) -> Step:
        return lambda frame: to_float(engine(frame, FrameSettings(before=before)).colour)

    def in_the_dark(engine: Engine) -> Step:
        return lambda frame: to_float(plain(engine(frame), FrameSettings(before=BRIGHTER)).colour)

    ways = {"brightened": rendered(plain)}
    for name in list(engines)[1:]:
        ways[name] = rendered(engines[name])
        ways[f"{name} in the dark"] = in_the_dark(engines[name])
        ways[f"denoise 0.5, {name}"] = rendered(engines[name], Before(exposure=STOPS, denoise=0.5))
    for amount in (0.5, 1.0):
        ways[f"denoise {amount}"] = rendered(plain, Before(exposure=STOPS, denoise=amount))
    for strength in STRENGTHS:
        ways[f"non-local means {strength}"] = lambda frame, strength=strength: non_local_means(  # type: ignore[misc]
            rendered(plain)(frame), strength
        )
    for strength in BILATERAL:
        ways[f"bilateral {strength}"] = lambda frame, strength=strength: cv2.bilateralFilter(  # type: ignore[misc]
            rendered(plain)(frame), -1, strength, 3
        )
    return ways


def _covering(picture: Samples) -> Samples:
    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = max(WIDTH, round(width * scale)), max(HEIGHT, round(height * scale))
    large = np.clip(cv2.resize(picture, size, interpolation=how), 0, 1)
    top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
    return np.ascontiguousarray(large[top : top + HEIGHT, left : left + WIDTH], np.float32)


def _part(picture: Samples) -> Samples:
    return picture[200:440, 200:520]


if __name__ == "__main__":
    main()
