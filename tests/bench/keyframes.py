"""What a run on keyframes reaches on frames that it never saw.

Run as `python -m tests.bench.keyframes CLIP PAINTING [SECONDS]`. The clip is scaled to 640 pixels across and
painted by the stroke painter, so that the truth is known everywhere. Two frames, at a quarter and at
three quarters, are the keys. The time is CPU seconds of one thread; frames nearer than six to a key
are not judged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from impasto.core.colour import to_float
from impasto.core.frame import Frame, Samples
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.metrics import psnr, sharpness_ratio
from impasto.core.temporal import warp_error
from impasto.training.data.keyframes import load_keyframes
from impasto.training.data.keyframes import spread as spread_out
from impasto.training.export import Label
from impasto.training.loop import Schedule, Trained, run
from impasto.training.objectives.keyframes import RECIPE, prepare, task_for
from impasto.training.preview import stylize
from impasto.training.recipe import recipe_from
from impasto.training.teachers.palette import fit_palette
from impasto.training.teachers.strokes import StrokeLook, paint

WIDTH = 640
UNSEEN = 10
NEAR = 6


def main() -> None:
    """Train on one clip and print the figures."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    plates = frames_of(sys.argv[1])
    with open_reader(sys.argv[2]) as reader:
        painting = to_float(next(iter(reader)).colour)
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 240.0
    palette = fit_palette(plates[:: max(1, len(plates) // 8)], painting)
    keys = [len(plates) // 4, 3 * len(plates) // 4]
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        store(folder / "plates", dict(enumerate(plates)))
        store(folder / "keys", {key: paint(plates[key], palette, StrokeLook()) for key in keys})
        trained = trained_for(seconds, folder)
    unseen = [n for n in spread_out(range(len(plates)), UNSEEN) if min(abs(n - key) for key in keys) >= NEAR]
    truths = [paint(plates[number], palette, StrokeLook()) for number in unseen]
    results = [painted_by(trained, plates[number]) for number in unseen]
    middle = plates[len(plates) // 2 - 4 : len(plates) // 2 + 4]
    figures = {
        "steps": trained.steps,
        "psnr of the plate": mean(psnr(plates[n], truth) for n, truth in zip(unseen, truths, strict=True)),
        "psnr": mean(psnr(ours, truth) for ours, truth in zip(results, truths, strict=True)),
        "sharpness over the painter's": mean(sharpness_ratio(a, b) for a, b in zip(results, truths, strict=True)),
        "warp error": warp_error(middle, [painted_by(trained, plate) for plate in middle]),
        "of the plate": warp_error(middle, middle),
        "of the painter": warp_error(middle, [paint(plate, palette, StrokeLook()) for plate in middle]),
    }
    for name, value in figures.items():
        print(f"{name}: {value:.3f}")


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
    lesson = prepare(load_keyframes(str(folder / "plates" / "f.####.png"), folder / "keys"), recipe.seed)
    task = task_for(lesson, recipe, folder / "style.safetensors", Label("bench"))
    return run(task, recipe, Schedule(folder / "run", preview_s=1e9, checkpoint_s=1e9), clock=time.process_time)


def painted_by(trained: Trained, plate: Samples) -> Samples:
    """A plate through the network, held in [0, 1]."""
    result = stylize(trained.net, torch.from_numpy(plate).permute(2, 0, 1)).clamp(0, 1)
    return np.ascontiguousarray(result.permute(1, 2, 0).numpy())


def mean(values: Iterable[float]) -> float:
    """The mean of what an iterator yields."""
    return float(np.mean(list(values)))


if __name__ == "__main__":
    main()
