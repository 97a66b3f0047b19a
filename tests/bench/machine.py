"""The facts of a machine that a figure is worthless without."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Machine:
    """What ran the benchmark."""

    processor: str
    cores: int
    threads: int
    instructions: str
    gpu: str
    system: str
    python: str
    torch: str
    load: float
    """Load average when the run began: above 0.5, figures say as much about the neighbours."""


def machine() -> Machine:
    """Look at this machine."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        threads=torch.get_num_threads(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        gpu=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        system=platform.platform(terse=True),
        python=platform.python_version(),
        torch=torch.__version__,
        load=round(os.getloadavg()[0], 2),
    )


def as_rows(facts: Machine) -> list[tuple[str, str]]:
    """Name and value, for a table."""
    return [(name, str(value)) for name, value in asdict(facts).items()]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
