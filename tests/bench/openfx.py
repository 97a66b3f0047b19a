"""What the OpenFX effect adds to painting: 1080p frames of RGBA float32 through our host and a server's shared memory.

The worker gives the plate back, which is one copy. What it takes is the server's own figure, asked by the client in
Python between the runs of the host; the rest is the plug-in: both copies, the wire and the waiting.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from impasto.hosts.ofx.build import BUNDLE, build_here, this_target
from tests.bench.bars import OPENFX
from tests.server.running_server import new_sandbox

ROUNDS, FRAMES = 5, 20
HEIGHT, WIDTH = 1080, 1920


@dataclass(frozen=True)
class EffectFigure:
    """Milliseconds a frame takes beyond what the server says, of all frames."""

    best: float
    median: float

    @property
    def verdict(self) -> str:
        return OPENFX.verdict(self.median)


def effect_figure() -> EffectFigure:
    """Frames of the host and of the client in turns, so that neighbours on the machine slow both down."""
    beyond: list[float] = []
    with new_sandbox(("echo",)) as sandbox, TemporaryDirectory() as folder:
        sandbox.serve()
        build_here(Path(folder))
        system = this_target().folder
        command = [
            f"{folder}/mini_host/{system}/mini_host", f"{folder}/{BUNDLE}/Contents/{system}/Impasto.ofx",
            "--set", "style=echo", "--size", f"{WIDTH}x{HEIGHT}", "--frames", str(FRAMES),
        ]  # fmt: skip
        environment = {**os.environ, "IMPASTO_RUNTIME": str(sandbox.run)}
        plate = np.zeros((HEIGHT, WIDTH, 4), np.float32)
        with sandbox.client() as client:
            for _ in range(ROUNDS):
                served = []
                for _ in range(FRAMES):
                    with client.submit(plate, style="echo").result(60) as result:
                        served.append(1e3 * result.done.seconds["server"])
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                times = [float(each) for each in re.findall(r"^frame .* ([0-9.]+) ms$", done.stdout, re.MULTILINE)]
                beyond += [each - statistics.median(served) for each in times[2:]]  # the first two open the ring
    return EffectFigure(min(beyond), statistics.median(beyond))


def main() -> None:
    found = effect_figure()
    print(f"OpenFX, 1080p RGBA float32, beyond painting: best {found.best:.1f} ms, median {found.median:.1f} ms")
    print(f"bar {found.verdict}")


if __name__ == "__main__":
    main()
