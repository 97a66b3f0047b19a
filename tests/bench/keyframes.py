"""What a run on keyframes reaches on frames that it never saw.

Run as `python -m tests.bench.keyframes CLIP PAINTING [SECONDS]`. The clip is scaled to 640 pixels across and
painted by the stroke painter, so that the truth is known everywhere. Two frames, at a quarter and at
three quarters, are the keys. The time is CPU seconds of one thread; frames nearer than six to a key
are not judged. Figures stand for the network alone and for the style with its keys, and under noise on the plate.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import numpy.typing as npt
import torch

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.flicker import warp_error
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.metrics import psnr, sharpness_ratio
from impasto.core.params import Params
from impasto.training.data.keyframes import load_keyframes
from impasto.training.data.shots import spread as spread_out
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for
from impasto.training.recipe import recipe_from
from impasto.training.task import Schedule, Trained
from impasto.training.teachers.palette import fit_palette
from impasto.training.teachers.strokes import StrokeSettings, paint
from tests.bench.disturbances import noised

WIDTH = 640
UNSEEN = 10
NEAR = 6
NOISES = (1, 4)
"""Standard deviations in 1/255."""


def main() -> None:
    """Train on one clip and print the figures."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    plates = frames_of(sys.argv[1])
    with open_reader(sys.argv[2]) as reader:
        painting = to_float(next(iter(reader)).colour)
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 240.0
    palette = fit_palette(plates[:: max(1, len(plates) // 8)], [painting])
    keys = [len(plates) // 4, 3 * len(plates) // 4]
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        store(folder / "plates", dict(enumerate(plates)))
        store(folder / "keys", {key: paint(plates[key], palette, StrokeSettings()) for key in keys})
        trained = trained_for(seconds, folder)
        engine = Engine(folder / "style.safetensors", device="cpu")
    unseen = [n for n in spread_out(range(len(plates)), UNSEEN) if min(abs(n - key) for key in keys) >= NEAR]
    truths = {number: paint(plates[number], palette, StrokeSettings()) for number in unseen}
    middle = plates[len(plates) // 2 - 4 : len(plates) // 2 + 4]
    painter = warp_error(middle, [paint(plate, palette, StrokeSettings()) for plate in middle])
    print(f"steps: {trained.steps}; keys: {engine.style.card.keys}")
    print(f"psnr of the plate: {mean(psnr(plates[n], truth) for n, truth in truths.items()):.3f}")
    print(f"warp error of the plate: {warp_error(middle, middle):.3f}; of the painter: {painter:.3f}")
    for name, amount in (("network alone", 0.0), ("with its keys", 1.0)):
        params = Params(keys=amount)
        results = {n: painted_by(engine, plates[n], params) for n in unseen}
        moved = {n: moved_since(plates[n], [plates[key] for key in keys]) for n in unseen}
        figures = {
            "psnr": mean(psnr(results[n], truths[n]) for n in unseen),
            "ssim": mean(ssim(results[n], truths[n]) for n in unseen),
            "psnr where the plate moved": mean(psnr_within(results[n], truths[n], moved[n]) for n in unseen),
            "psnr elsewhere": mean(psnr_within(results[n], truths[n], ~moved[n]) for n in unseen),
            "sharpness over the painter's": mean(sharpness_ratio(results[n], truths[n]) for n in unseen),
            "warp error": warp_error(middle, [painted_by(engine, plate, params) for plate in middle]),
        }
        for strength in NOISES:
            noisy = (psnr(painted_by(engine, noised(plates[n], strength, n), params), truths[n]) for n in unseen)
            figures[f"psnr under plate noise of {strength}/255"] = mean(noisy)
        print(name)
        for figure, value in figures.items():
            print(f"  {figure}: {value:.3f}")


def frames_of(clip: str) -> list[Samples]:
    """Every frame, `WIDTH` pixels across, (H, W, 3) float32 in [0, 1]."""
    with open_reader(clip) as reader:
        height = round(reader.info.height * WIDTH / reader.info.width)
        return [
            np.asarray(cv2.resize(to_float(frame.colour), (WIDTH, height), interpolation=cv2.INTER_AREA), np.float32)
            for frame in reader
        ]


def store(folder: Path, pictures: dict[int, Samples]) -> None:
    """Pictures as 8-bit files by their numbers."""
    for number, picture in pictures.items():
        shot = ShotInfo("", "sequence", number, 1, picture.shape[1], picture.shape[0])
        with open_writer(str(folder / "f.####.png"), shot) as writer:
            writer.write(Frame.from_pixels(np.rint(picture * 255).astype(np.uint8), number=number))


def trained_for(seconds: float, folder: Path) -> Trained:
    """A run by the recipe's defaults on what `store` left in a folder."""
    recipe = recipe_from({"minutes": seconds / 60}, RECIPE)
    split = hold_out(load_keyframes(str(folder / "plates" / "f.####.png"), folder / "keys"), recipe.seed)
    task = task_for(split, recipe, folder / "style.safetensors", Label("bench"))
    return run(task, recipe, Schedule(folder / "run", preview_s=1e9, checkpoint_s=1e9), clock=time.process_time)


def painted_by(engine: Engine, plate: Samples, params: Params) -> Samples:
    """A plate in 8 bits through the engine, and back in [0, 1]."""
    return to_float(engine(Frame.from_pixels(np.rint(plate * 255).astype(np.uint8)), FrameSettings(params)).colour)


def moved_since(plate: Samples, keys: list[Samples]) -> npt.NDArray[np.bool_]:
    """Where a plate differs from every key by more than 16/255 within 3 pixels: (H, W)."""
    least = np.min([np.abs(plate - key).max(axis=2) for key in keys], axis=0)
    return np.asarray(cv2.dilate((least > 16 / 255).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0)


def psnr_within(result: Samples, truth: Samples, where: npt.NDArray[np.bool_]) -> float:
    """PSNR over some pixels alone; NaN for none."""
    return psnr(result[where][None], truth[where][None]) if where.any() else math.nan


def ssim(result: Samples, truth: Samples) -> float:
    """Structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861) over squares of 7 pixels, all channels."""

    def average(picture: Samples) -> Samples:
        return np.asarray(cv2.blur(picture, (7, 7))[3:-3, 3:-3], np.float32)

    ours, theirs = average(result), average(truth)
    spread = average(result * result) - ours**2 + average(truth * truth) - theirs**2
    shared = average(result * truth) - ours * theirs
    alike = (2 * ours * theirs + 1e-4) * (2 * shared + 9e-4) / ((ours**2 + theirs**2 + 1e-4) * (spread + 9e-4))
    return float(alike.mean())


def mean(values: Iterable[float]) -> float:
    """The mean of what an iterator yields, NaN left out."""
    return float(np.nanmean(list(values)))


if __name__ == "__main__":
    main()
