"""The rank of this process among those that torchrun started, and the device that it trains on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from impasto.core.errors import DeviceError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass


@frozen_dataclass
class ProcessRank:
    """One process among those that train together; by default the only one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number on this machine, also the number of its GPU."""
    restarts: int = 0
    """How often torchrun has restarted all of them after one was lost."""
    started_by: str = ""
    """An id of the torchrun that started them, the same after every restart."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that reports and writes."""
        return self.rank == 0


def process_rank(environment: Mapping[str, str] = os.environ) -> ProcessRank:
    """The rank of this process, from the variables that torchrun (or a launcher with its rules) sets.

    UsageError where they make no sense.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return ProcessRank()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
    given = {name: environment.get(name, "0") for name in names}
    if not all(value.isdecimal() for value in given.values()) or int(given["RANK"]) >= int(given["WORLD_SIZE"]):
        raise UsageError(
            f"expected a RANK below the WORLD_SIZE in the environment, got {given}; start with torchrun, or unset them"
        )
    started_by = f"{environment.get('TORCHELASTIC_RUN_ID', '')} {os.getppid()}"
    rank, size, local_rank, restarts = (int(given[name]) for name in names)
    return ProcessRank(rank, size, local_rank, restarts, started_by)


def device_of(process: ProcessRank, asked: str) -> str:
    """The device of this process: its own GPU of the machine, or the CPU.

    UsageError for a device that all processes would share, DeviceError for one that does not exist.
    """
    import torch

    from impasto.core.device.choice import choose_device

    if process.size == 1 or asked == "cpu":
        return choose_device(asked)
    if asked not in ("auto", "cuda"):
        raise UsageError(
            f"expected --device auto or cpu for {process.size} processes, since each takes a GPU of its own, "
            f"got '{asked}'"
        )
    count = torch.cuda.device_count()
    if count == 0 and asked == "auto":
        return "cpu"
    if process.local_rank >= count:
        raise DeviceError(
            f"expected a GPU for process {process.local_rank + 1} on this machine, it has {count}; "
            "start fewer with --nproc-per-node, or give --device cpu"
        )
    return f"cuda:{process.local_rank}"


def require_single(process: ProcessRank, command: str, waste: str) -> None:
    """UsageError where a command that gains nothing from several processes was started with torchrun."""
    if process.size > 1:
        raise UsageError(
            f"expected one process for `impasto {command}`, got {process.size}, each of which would {waste}; "
            "start it without torchrun"
        )


def exit_process(code: int) -> NoReturn:
    """End this process with an exit code. Where several train together, skip the shutdown of the interpreter.

    There a thread of gloo may still hold a tensor of the last exchange. It would need the interpreter after its
    shutdown, and the process would sometimes abort instead of ending with its code.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or "impasto.training.distributed" not in sys.modules:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the reader is gone
            stream.flush()
    os._exit(code)
