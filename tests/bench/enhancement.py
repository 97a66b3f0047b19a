"""What an enhancement style gains on damaged pictures that it never saw, beside the best classical denoiser at hand.

    python -m tests.bench.enhancement --media DIR STYLE.safetensors [--sheet FILE.png]

`--media` is the folder with the larger test media (photos/kodim*.png, every other one; clips/); none of it may have
been trained on. The pictures are scaled to 640 pixels across, damaged, and repaired by the style through the engine in
8 bits and by OpenCV's non-local means (`fastNlMeansDenoisingColored`, Buades et al. 2005) at the one of `STRENGTHS`
that is best for the case in hindsight. Of the clips, consecutive frames go through noise and H.264 together, so that
their true movement is coded. All figures are means; gains are over the damaged picture. `ms` is CPU time a picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Pixels, Samples
from impasto.core.media import FrameRange, open_reader
from impasto.core.metrics import psnr, sharpness_ratio
from impasto.training.teachers.degradation import Damage, chance_of, degraded, drawn_damage, noised, through_h264
from tests.bench.keyframes import mean, ssim

WIDTH = 640
CLIPS = ("pour_coffee_720p30.mp4", "bbb_meadow_360p24.mp4", "person_juggle_720p24.mp4")
CONSECUTIVE = 8
"""Frames of a clip that are coded together; the last is judged."""
STRENGTHS = (1, 3, 6, 10)
CASES = {
    "noise": Damage(shot=2e-3, read=1.5e-3),
    "jpeg 30": Damage(codec="jpeg", strength=30),
    "h264 crf 32": Damage(codec="h264", strength=32, moves=(2, 0), shown=4),
    "blur": Damage(blur=0.9),
    "surveillance": Damage(0.7, 0.75, 1e-3, 1e-3, "h264", 27, (2, 0), 4),
}
MOVING = {
    "clips, h264 crf 26": Damage(shot=3e-4, read=5e-4, codec="h264", strength=26),
    "clips, h264 crf 34": Damage(shot=3e-4, read=5e-4, codec="h264", strength=34),
}
Pair = tuple[Samples, Samples]
"""The truth, and what became of it."""


def main() -> None:
    """Print a row of figures for every kind of damage."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("style", type=Path)
    arguments.add_argument("--media", type=Path, required=True)
    arguments.add_argument("--sheet", type=Path, help="Draw middles: damaged, style, non-local means, truth.")
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    engine = Engine(given.style, device="cpu")
    photos = {path.stem: frames_of(path, 1)[0] for path in sorted((given.media / "photos").glob("kodim*.png"))[::2]}
    clips = {name: frames_of(given.media / "clips" / name, CONSECUTIVE) for name in CLIPS}
    rows: list[Samples] = []
    print(f"{'':20} damaged dB  style  NLM   | ssim: damaged style NLM | sharpness of truth: damaged style NLM | ms")
    for name, pairs in cases(photos, clips).items():
        rows.append(report(name, pairs, engine))
    clean = [(truth, truth) for truth in photos.values()]
    kept = mean(psnr(repaired(engine, truth), truth) for truth, _ in clean)
    print(f"{'clean stays clean':20} {kept:.2f} dB to the clean plate")
    if given.sheet:
        cv2.imwrite(str(given.sheet), as_bytes(np.vstack(rows)[..., ::-1]))


def cases(photos: dict[str, Samples], clips: dict[str, list[Samples]]) -> dict[str, list[Pair]]:
    """Every kind of damage with its pictures."""
    stills = photos | {name: frames[-1] for name, frames in clips.items()}
    found = {
        case: [(truth, degraded(truth, damage, chance_of(name))) for name, truth in stills.items()]
        for case, damage in CASES.items()
    }
    found["as drawn in training"] = [
        (truth, degraded(truth, drawn_damage(f"{name} {turn}"), chance_of(name)))
        for name, truth in stills.items()
        for turn in range(2)
        if drawn_damage(f"{name} {turn}") != Damage()
    ]
    for case, damage in MOVING.items():
        found[case] = [(frames[-1], coded(frames, damage)) for frames in clips.values()]
    return found


def frames_of(path: Path, count: int) -> list[Samples]:
    """The first frames of a still, or as many from the middle of a movie, `WIDTH` pixels across and of even height."""
    with open_reader(str(path)) as reader:
        middle = reader.info.first + (reader.info.frame_count or 1) // 2
        height = round(reader.info.height * WIDTH / reader.info.width / 2) * 2
    frames = FrameRange(middle, middle + count - 1) if count > 1 else None
    with open_reader(str(path), frames=frames) as reader:
        return [
            np.asarray(cv2.resize(to_float(frame.colour), (WIDTH, height), interpolation=cv2.INTER_AREA), np.float32)
            for frame in islice(reader, count)
        ]


def coded(frames: list[Samples], damage: Damage) -> Samples:
    """The last of some frames after noise and H.264 of all of them."""
    chance = chance_of("clip")
    clip = [as_bytes(noised(frame, damage, chance)) for frame in frames]
    return to_float(through_h264(clip, damage.strength)[-1])


def report(name: str, pairs: list[Pair], engine: Engine) -> Samples:
    """Print the row of one kind of damage; the middles of its first picture, for the sheet."""
    begun = time.process_time()
    ours = [repaired(engine, damaged) for _, damaged in pairs]
    spent = 1000 * (time.process_time() - begun) / len(pairs)
    classical = max(
        ([non_local_means(damaged, strength) for _, damaged in pairs] for strength in STRENGTHS),
        key=lambda results: mean(psnr(result, truth) for result, (truth, _) in zip(results, pairs, strict=True)),
    )
    three = [[damaged for _, damaged in pairs], ours, classical]

    def means(measure: Callable[[Samples, Samples], float]) -> Iterator[float]:
        for results in three:
            yield mean(measure(result, truth) for result, (truth, _) in zip(results, pairs, strict=True))

    levels, alike, sharp = (list(means(measure)) for measure in (psnr, ssim, sharpness_ratio))
    print(
        f"{name:20} {levels[0]:6.2f}    {levels[1] - levels[0]:+5.2f}  {levels[2] - levels[0]:+5.2f}"
        f"  | {alike[0]:.3f} {alike[1]:.3f} {alike[2]:.3f}"
        f" | {sharp[0]:.2f} {sharp[1]:.2f} {sharp[2]:.2f} | {spent:.0f}",
        flush=True,
    )
    return np.hstack([_middle(picture) for picture in (pairs[0][1], ours[0], classical[0], pairs[0][0])])


def repaired(engine: Engine, damaged: Samples) -> Samples:
    """A picture in 8 bits through the engine."""
    return to_float(engine(Frame.from_pixels(as_bytes(damaged), colour_space="sRGB")).colour)


def non_local_means(damaged: Samples, strength: float) -> Samples:
    """OpenCV's denoiser with one strength for luma and colour, its windows as its documentation has them."""
    stored = np.ascontiguousarray(as_bytes(damaged)[..., ::-1])
    return to_float(np.ascontiguousarray(cv2.fastNlMeansDenoisingColored(stored, None, strength, strength)[..., ::-1]))


def as_bytes(picture: Samples) -> Pixels:
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def _middle(picture: Samples) -> Samples:
    top, left = (picture.shape[0] - 240) // 2, (picture.shape[1] - 320) // 2
    return picture[top : top + 240, left : left + 320]


if __name__ == "__main__":
    main()
