"""One of several processes that train a tiny network together: `python -m tests.training.one_process FOLDER CASE`.

Rank and number of processes come from the environment, as torchrun has it.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from impasto.core.errors import TrainingError
from impasto.core.generators.resunet import RES_SIZES, ResUNetConfig
from impasto.hosts.terminal.train.torchrun import ProcessRank, exit_process, process_rank
from impasto.training import loop
from impasto.training.data.domains import Domains
from impasto.training.data.pairs import Pair
from impasto.training.distributed import joined
from impasto.training.objectives import domains as domains_objective
from impasto.training.objectives import pairs as pairs_objective
from impasto.training.recipe import Recipe
from impasto.training.task import Schedule, TrainingTask

STEPS = 20
RECIPE = Recipe(
    size="draft",
    steps=STEPS,
    batch=6,
    crop=48,
    rim=8,
    learning_rate=5e-4,
    critic_from=1,
    consistency_every=2,
    warm_up=5,
    mixed_precision=False,
    adversarial=0.1,
)
LIMIT_S = 60.0


def pairs(count: int = 3) -> list[Pair]:
    """Pictures of their own: rounding grows with training, and on these it stays far below what the test allows."""
    generator = torch.Generator().manual_seed(1)
    coarse = [torch.rand(1, 3, 9, 9, generator=generator) for _ in range(count)]
    soft = [torch.nn.functional.interpolate(each, size=(72, 72), mode="bicubic")[0].clamp(0, 1) for each in coarse]
    plates = [(each * 255).to(torch.uint8) for each in soft]
    return [Pair(f"p{index}", plate, plate.flip(0)) for index, plate in enumerate(plates)]


def task(recipe: Recipe, case: str) -> TrainingTask:
    if case == "domains":
        plates, wanted = pairs(), pairs(4)
        both = Domains(tuple(pair.before for pair in plates), tuple(pair.after for pair in wanted))
        return domains_objective.task_for(both, recipe)
    return dataclasses.replace(pairs_objective.task_for(pairs(), recipe), preview=lambda net, path: None)


def stopped(here: ProcessRank, case: str) -> Callable[[], bool]:
    """When somebody asks this process to stop, kills it, or stops it dead; each at the eighth step."""
    seen = 0

    def look() -> bool:
        nonlocal seen
        seen += 1
        if seen == 8 and here.rank == 1 and here.restarts == 0:
            if case == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if case == "hung":
                os.kill(os.getpid(), signal.SIGSTOP)
            return case == "stopped"
        return False

    return look


def main() -> None:
    torch.set_num_threads(1)
    RES_SIZES["draft"] = ResUNetConfig(widths=(8, 12, 16), blocks=(0, 0, 1))
    folder, case = Path(sys.argv[1]), sys.argv[2]
    changes: dict[str, dict[str, object]] = {
        "wgan-gp": {"adversarial_form": "wgan-gp"},
        "domains": {"adversarial_form": "lsgan", "contrast": 1.0},
        "uneven": {"batch": 5},
    }
    recipe = dataclasses.replace(RECIPE, **changes.get(case, {}))  # type: ignore[arg-type]
    here = process_rank()
    steps: list[int] = []
    schedule = Schedule(folder, checkpoint_s=0.0 if case == "killed" else 60.0, resume=here.restarts > 0)
    try:
        with joined(here.rank, here.size, "cpu", start=here.restarts, limit_s=3.0 if case == "hung" else LIMIT_S):
            trained = loop.run(
                task(recipe, case), recipe, schedule, on_progress=lambda progress: steps.append(progress.step),
                stopped=stopped(here, case),
            )  # fmt: skip
    except TrainingError as error:
        print(f"{here.rank}: {error}", flush=True)
        exit_process(7)
    print(f"{here.rank}: {trained.steps} steps after {here.restarts} restarts, {len(steps)} told", flush=True)
    exit_process(0)


if __name__ == "__main__":
    main()
