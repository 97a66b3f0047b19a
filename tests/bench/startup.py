"""How long commands take that do next to nothing, beside `python -c 'import numpy'` in the same run.

The bars are shares of what each command took at commit 0c0f9b7, measured by this file: 40/123 of the client, 150/252,
200/325, 250/760 and 450/968 of the commands. Modules are compiled before the first round, as an installation has them.
`typer alone` is the floor of every command that has an option.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

ROUNDS = 9
NUMPY = "import numpy"
CLIENT = "import impasto.server.client"
TYPER = "typer alone, one option"
TYPER_PROGRAM = """
import typer
app = typer.Typer()
@app.command()
def main(json: bool = False) -> None: ...
app(["--json"])
"""
COMMAND = (sys.executable, "-m", "impasto.hosts.terminal")
STYLE = "wheatfield-draft"


@dataclass(frozen=True, slots=True)
class StartupFigure:
    """One command from start to exit: wall time, the best of `ROUNDS`."""

    name: str
    milliseconds: float
    cpu_ms: float
    """Of this process and its children, without the server."""
    ratio: float
    """To importing numpy; of the client: what it takes beyond numpy."""
    bar: float | None
    """Of the ratio."""

    @property
    def verdict(self) -> str:
        """Whether the bar is met."""
        if self.bar is None:
            return "-"
        return "met" if self.ratio <= self.bar else "missed"


BARS: Mapping[str, float] = {
    CLIENT: 0.33,
    "impasto --help": 1.2,
    "impasto styles": 1.5,
    "impasto render --help": 1.9,
    "impasto render, a 640x360 still, warm server": 3.3,
}


def startup_figures() -> list[StartupFigure]:
    """Every command in turn, in another order each round."""
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        plate = folder / "plate.png"
        cv2.imwrite(str(plate), np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8))
        still = (*COMMAND, "render", str(plate), str(folder / "painted.png"), "--style", STYLE, "--overwrite", "--json")
        commands = {
            NUMPY: (sys.executable, "-c", NUMPY),
            TYPER: (sys.executable, "-c", TYPER_PROGRAM),
            CLIENT: (sys.executable, "-c", CLIENT),
            "impasto --help": (*COMMAND, "--help"),
            "impasto styles": (*COMMAND, "styles"),
            "impasto render --help": (*COMMAND, "render", "--help"),
            "impasto render, a 640x360 still, warm server": still,
        }
        environment = os.environ | {"IMPASTO_RUNTIME": str(folder / "run"), "PYTHONPYCACHEPREFIX": str(folder / "pyc")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        wall: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        try:
            for number in range(ROUNDS + 1):
                for name in random.sample(list(commands), len(commands)):
                    seconds, cpu_s = _timed(commands[name], environment)
                    if number:  # the first round compiles, starts the server and warms the style
                        wall[name].append(seconds)
                        cpu[name].append(cpu_s)
        finally:
            subprocess.run((*COMMAND, "stop", "--now"), env=environment, capture_output=True, check=False)
    numpy_s = min(wall[NUMPY])
    return [
        StartupFigure(
            name,
            min(wall[name]) * 1000,
            min(cpu[name]) * 1000,
            min(wall[name]) / numpy_s - (1 if name == CLIENT else 0),
            BARS.get(name),
        )
        for name in commands
    ]


def _timed(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=True)
    seconds, after = time.perf_counter() - begun, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, spent
