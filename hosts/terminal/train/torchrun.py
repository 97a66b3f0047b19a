"""Which of the processes that torchrun started this is, and on what it trains."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from impasto.core.errors import DeviceError, UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those that train together; by default there is no other."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number on this machine, and that of its GPU."""
    restarts: int = 0
    """How often torchrun has started all of them anew after one was lost."""
    started_by: str = ""
    """Which torchrun started them: the same word after every restart."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that reports and writes."""
        return self.rank == 0


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """What torchrun, or whoever starts processes by its rules, wrote into the environment.

    UsageError where that makes no sense.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Place()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
    told = {name: environment.get(name, "0") for name in names}
    if not all(value.isdecimal() for value in told.values()) or int(told["RANK"]) >= int(told["WORLD_SIZE"]):
        raise UsageError(
            f"expected a RANK below the WORLD_SIZE in the environment, got {told}; start with torchrun, or unset them"
        )
    started_by = f"{environment.get('TORCHELASTIC_RUN_ID', '')} {os.getppid()}"
    rank, size, local_rank, restarts = (int(told[name]) for name in names)
    return Place(rank, size, local_rank, restarts, started_by)


def device_of(here: Place, asked: str) -> str:
    """The device of this process: its own GPU of the machine, or the CPU.

    UsageError for a device that all processes would share, DeviceError for one that is not there.
    """
    import torch

    from impasto.core.engine import choose_device

    if here.size == 1 or asked == "cpu":
        return choose_device(asked)
    if asked not in ("auto", "cuda"):
        raise UsageError(
            f"expected --device auto or cpu for {here.size} processes, since each takes a GPU of its own, got '{asked}'"
        )
    there = torch.cuda.device_count()
    if there == 0 and asked == "auto":
        return "cpu"
    if here.local_rank >= there:
        raise DeviceError(
            f"expected a GPU for process {here.local_rank + 1} on this machine, it has {there}; "
            "start fewer with --nproc-per-node, or give --device cpu"
        )
    return f"cuda:{here.local_rank}"


def leave(code: int) -> NoReturn:
    """End this process with an exit code; of several that train together, without taking the interpreter down first.

    A thread of gloo may still hold a tensor there, of an answer that never came or of the last that did. It would ask
    for the interpreter when that is gone, and the process would now and then end with an abort instead of its code.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or "impasto.training.distributed" not in sys.modules:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads any more
            stream.flush()
    os._exit(code)
