"""How fast it trains: steps of every network, a teacher's frame of every manner, and the wait for a first preview."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import cv2
import numpy as np
import torch

from impasto.core.colour import to_float
from impasto.core.generators import GENERATORS
from impasto.core.media import open_reader
from impasto.training.cpu_pace import HALF, FreeCores
from impasto.training.data.pairs import Pair
from impasto.training.data.teacher_plates import load_picture
from impasto.training.distributed import ONE_PROCESS
from impasto.training.objectives.pairs import task_for
from impasto.training.recipe import Recipe
from impasto.training.state import TrainingState
from impasto.training.teachers.manners import MANNERS
from impasto.training.teachers.painted_pairs import TeacherSettings, fit_teacher

CLIP = "tests/media/harbour.mp4"
PLATE_SIDE = 640
WARM = 4
"""Steps that do not count; the critic trains from the first, as it does in nearly all of a run."""
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class StepFigure:
    """Training one network on pairs, by the default recipe with the critic at work."""

    generator: str
    size: str
    device: str
    batch: int
    crop: int
    steps_per_second: float
    crops_per_second: float


@dataclass(frozen=True, slots=True)
class BusyFigure:
    """Training on a CPU beside a program that keeps one core busy."""

    before: float
    """Steps per second in bfloat16 with a thread for every core."""
    now: float
    threads: int
    """That a run limited by minutes takes there."""
    steps_alone: float
    """Steps per second of a run that counts steps, whose threads stay as they are."""

    @property
    def ratio(self) -> float:
        """The bar is 2.5."""
        return self.now / self.before


@dataclass(frozen=True, slots=True)
class TeacherFigure:
    """One frame of a painter without a network, in a process of its own."""

    manner: str
    seconds: float
    peak_mib: float
    """Resident memory of the whole process, libraries included."""


def step_figures(budget_s: float = 3.0) -> list[StepFigure]:
    """Every generator and size on the CPU, and on the GPU where there is one; so many seconds each."""
    devices = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]
    return [
        steps_of(generator, size, device, budget_s)
        for device in devices
        for generator, family in GENERATORS.items()
        for size in family.sizes
    ]


def busy_figure(rounds: int = 3, budget_s: float = 4.0) -> BusyFigure:
    """The three ways in turn, the best of some rounds each."""
    before, now, steps_alone, threads = [], [], [], 1
    whole = torch.get_num_threads()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        torch.set_num_threads(os.cpu_count() or 1)
        for _ in range(rounds):
            always = mock.patch(
                "impasto.training.objectives.pairs.autocast", lambda kind, recipe: torch.autocast(kind, dtype=HALF)
            )
            with always:
                before.append(steps_of("resunet", "standard", "cpu", budget_s).steps_per_second)
            steps_alone.append(steps_of("resunet", "standard", "cpu", budget_s).steps_per_second)
            cores = FreeCores()
            cores.adapt()
            threads = torch.get_num_threads()
            now.append(steps_of("resunet", "standard", "cpu", budget_s).steps_per_second)
            cores.restore()
    finally:
        torch.set_num_threads(whole)
        busy.kill()
        busy.wait()
    return BusyFigure(max(before), max(now), threads, max(steps_alone))


def steps_of(generator: str, size: str, device: str, budget_s: float) -> StepFigure:
    """Steps for some seconds, at least three of them."""
    recipe = Recipe(generator=generator, size=size, critic_from=-1000)  # type: ignore[arg-type]
    plates = [torch.randint(0, 256, (3, 256, 256), dtype=torch.uint8) for _ in range(4)]
    task = task_for([Pair(str(n), plate, plate.flip(0)) for n, plate in enumerate(plates)], recipe)
    state = TrainingState(task.net(), task.critic(), recipe, device, validates=False)
    state.fraction = 0.5

    def step() -> None:
        state.step(task.step(state.net, state.critic, state.steps, state.rng), ONE_PROCESS)
        if device != "cpu":
            torch.cuda.synchronize(device)

    for _ in range(WARM):
        step()
    counted, begun = 0, time.perf_counter()
    while counted < 3 or time.perf_counter() - begun < budget_s:
        step()
        counted += 1
    pace = counted / (time.perf_counter() - begun)
    return StepFigure(generator, size, device, recipe.batch, recipe.crop, pace, recipe.batch * pace)


def teacher_figures() -> list[TeacherFigure]:
    """Every manner on one frame of the sample clip, `PLATE_SIDE` pixels across."""
    figures = []
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        plate = Path(kept) / "plate.png"
        keep_frame(plate)
        for manner in MANNERS:
            command = [sys.executable, "-m", "tests.bench.training", str(plate), manner]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            figures.append(TeacherFigure(manner, float(told[0]), float(told[1])))
    return figures


def keep_frame(path: Path) -> None:
    """The first frame of the sample clip as an 8-bit picture."""
    with open_reader(CLIP) as reader:
        picture = to_float(next(iter(reader)).colour)
    scale = PLATE_SIDE / picture.shape[1]
    small = cv2.resize(np.asarray(picture, np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), np.rint(small[..., ::-1] * 255).astype(np.uint8))


def paint_one(plate: Path, manner: str) -> None:
    """Print the seconds of one frame and the peak memory of this process in MiB; the plate stands for a painting."""
    needs = MANNERS[manner].needs_painting
    teacher = fit_teacher(TeacherSettings(manner), [plate] if needs else [], [plate])
    picture = load_picture(plate, PLATE_SIDE)
    begun = time.perf_counter()
    teacher.paint(picture)
    print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def first_preview_s() -> float:
    """Seconds from the start of `impasto train keyframes` on the sample clip to its first contact sheet."""
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        (folder / "keys").mkdir()
        with open_reader(CLIP) as reader:
            picture = next(iter(reader)).colour
        cv2.imwrite(str(folder / "keys" / "key.0001.png"), 255 - np.ascontiguousarray(picture[..., 2::-1]))
        command = (sys.executable, "-m", "impasto.hosts.terminal.app", "train", "keyframes", "--plates", CLIP)
        options = ("--keys", str(folder / "keys"), "-o", str(folder / "hero.safetensors"), "--json")
        begun = time.perf_counter()
        running = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        try:
            while not (folder / "hero.run" / "preview.png").exists():
                if running.poll() is not None or time.perf_counter() - begun > LIMIT_S:
                    return float("nan")
                time.sleep(0.05)
            return time.perf_counter() - begun
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()


if __name__ == "__main__":
    paint_one(Path(sys.argv[1]), sys.argv[2])
