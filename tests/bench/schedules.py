"""What settings of a recipe are worth in the same time: held-out error after equal CPU seconds.

    python -m tests.bench.schedules --plates DIR [--painting FILE] [--manner oil|cel|…] [--seconds 90] \\
        [--base size=draft,crop=64] progressive=0.3 exposure=0.1,compression=0.1

Plates are painted by a teacher at 480 pixels, every fourth is held out; one run goes by the defaults and the base with
all that is named set to 0, and one for each set of settings besides, one thread each. Figures are PSNR to the painter
on the held-out plates, clean and under each disturbance of `tests.bench.disturbances`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from impasto.core.frame import Samples
from impasto.core.metrics import psnr, sharpness_ratio
from impasto.training.data.pairs import load_pairs
from impasto.training.data.pictures import picture_files
from impasto.training.data.teacher_plates import load_picture
from impasto.training.loop import run
from impasto.training.objectives.pairs import task_for
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe, recipe_from
from impasto.training.task import Schedule
from impasto.training.teachers.painted_pairs import TeacherSettings, fit_teacher, make_pairs
from tests.bench.disturbances import DISTURBANCES
from tests.bench.keyframes import mean

SIDE = 480


def main() -> None:
    """Train a run for each set of settings and print its figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--plates", type=Path, required=True)
    arguments.add_argument("--painting", type=Path)
    arguments.add_argument("--manner", default="oil")
    arguments.add_argument("--seconds", type=float, default=90.0)
    arguments.add_argument("--base", default="")
    arguments.add_argument("settings", nargs="+")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    plates = list(picture_files(given.plates).values())
    held, learned = plates[::4], [path for index, path in enumerate(plates) if index % 4]
    paintings = [given.painting] if given.painting else []
    teacher_settings = TeacherSettings(given.manner, paint_share=0.0, plate_sides=(SIDE,))
    teacher = fit_teacher(teacher_settings, paintings, learned)
    pictures = [load_picture(path, SIDE) for path in held]
    truths = [teacher.paint(picture) for picture in pictures]
    base = settings_in(given.base)
    sets = [settings_in(text) for text in given.settings]
    off: dict[str, Any] = {name: 0.0 for settings in sets for name in settings}
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        make_pairs(learned, paintings, Path(kept), teacher_settings)
        pairs = load_pairs(Path(kept) / "before", Path(kept) / "after")
        for settings in (off, *({**off, **settings} for settings in sets)):
            recipe = recipe_from({**base, **settings}, Recipe(minutes=given.seconds / 60))
            folder = Path(kept) / "run"
            trained = run(
                task_for(pairs, recipe),
                recipe,
                Schedule(folder, preview_s=1e9, checkpoint_s=1e9),
                clock=time.process_time,
            )
            print(f"{settings}: {trained.steps} steps of {len(pairs)} pairs", flush=True)
            for name, disturbed in {"clean": lambda picture, _: picture, **DISTURBANCES}.items():
                results = [painted(trained.net, disturbed(picture, n)) for n, picture in enumerate(pictures)]
                level = mean(psnr(result, truth) for result, truth in zip(results, truths, strict=True))
                sharp = mean(sharpness_ratio(result, truth) for result, truth in zip(results, truths, strict=True))
                print(f"  {name:20} {level:.2f} dB, sharpness {sharp:.2f} of the painter's", flush=True)


def settings_in(text: str) -> dict[str, Any]:
    """'size=draft,crop=64' as names and values of a recipe."""
    return {name: _value(value) for name, _, value in (each.partition("=") for each in text.split(",") if each)}


def _value(text: str) -> str | int | float:
    return text if text.isalpha() else int(text) if text.isdecimal() else float(text)


def painted(net: torch.nn.Module, picture: Samples) -> Samples:
    """A picture through a network."""
    plate = torch.from_numpy(picture).permute(2, 0, 1)
    return np.asarray(stylize(net, plate).clamp(0, 1).permute(1, 2, 0).numpy(), np.float32)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
