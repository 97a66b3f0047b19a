"""Training on a processor beside other programs: how many threads it takes, and when it counts in bfloat16.

Threads of one step wait for each other, so that one that has to wait for a core costs the time of all. On two cores
with one of them busy, a step in bfloat16 takes two to three times as long with two threads as with one, because
oneDNN's kernel for the gradients of weights spins at its barriers (`python -m tests.bench training`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

import psutil
import torch

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.training.recipe import Recipe

HALF = torch.bfloat16
"""Trains without loss scaling, on every device that has mixed precision at all."""
FIRST_LOOK_S = 0.3
NOISE = 0.25
"""Cores that others may use before a thread of ours is given up."""


def autocast(device_type: str, recipe: Recipe) -> torch.autocast:
    """The precision of a forward pass: bfloat16 where the recipe allows it and it gains.

    On a processor it gains with one thread, and loses with several beside other programs.
    """
    gains = device_type != "cpu" or torch.get_num_threads() == 1
    return torch.autocast(device_type, dtype=HALF, enabled=recipe.mixed_precision and gains)


@frozen_dataclass
class CpuTime:
    """Processor seconds since the machine started, at one moment."""

    at_s: float
    everyone_s: float
    own_s: float
    """Of this process and of the children that it has waited for."""


def cpu_time() -> CpuTime:
    """Look at the clocks of the machine and of this process."""
    system, own = psutil.cpu_times(), psutil.Process().cpu_times()
    # Time of guests is part of the user's already.
    counted = ("user", "nice", "system", "irq", "softirq", "steal")
    everyone = sum(getattr(system, name, 0.0) for name in counted)
    return CpuTime(time.monotonic(), everyone, own.user + own.system + own.children_user + own.children_system)


def own_cores() -> int:
    """Cores that this process may run on."""
    if sys.platform == "darwin":
        return os.cpu_count() or 1
    return len(psutil.Process().cpu_affinity() or [0])


class FreeCores:
    """Gives torch as many threads as there are cores that no other program uses, one at least."""

    def __init__(
        self, look: Callable[[], CpuTime] = cpu_time, cores: int = 0, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Looks for `FIRST_LOOK_S` at what others do; this process must rest meanwhile."""
        self._cores = cores or own_cores()
        self._before = torch.get_num_threads()
        self._look = look
        self._last = look()
        pause(FIRST_LOOK_S)

    def adapt(self) -> str:
        """Set the threads by what others used since the last look. A sentence where that changes them, else ''."""
        now, last = self._look(), self._last
        self._last = now
        passed = max(now.at_s - last.at_s, 1e-3)
        others = max(0.0, (now.everyone_s - last.everyone_s) - (now.own_s - last.own_s)) / passed
        threads = max(1, int(self._cores - others + NOISE))
        if threads == torch.get_num_threads():
            return ""
        torch.set_num_threads(threads)
        return (
            f"training with {threads} of {self._cores} cores, since other programs keep {others:.1f} busy; set "
            "OMP_NUM_THREADS to choose another number"
        )

    def restore(self) -> None:
        """Give torch the threads that it had."""
        torch.set_num_threads(self._before)


def free_cores_for(
    recipe: Recipe, device: str, processes: int, environment: Mapping[str, str] = os.environ
) -> FreeCores | None:
    """What chooses the threads of a run; None where they stay as they are.

    They stay where the user has set OMP_NUM_THREADS, on a GPU, where several processes train together, and in a run
    that counts steps: there other threads would mean other weights, and such a run can be repeated.
    """
    fixed = "OMP_NUM_THREADS" in environment or device != "cpu" or processes > 1 or not recipe.minutes
    return None if fixed else FreeCores()
