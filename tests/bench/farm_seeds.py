"""How long a job takes on a thousand simulated nodes, over many seeds: the figures of hosts/farm/README.md.

`python -m tests.bench.farm_seeds [SEEDS] [PROCESSES]` runs the loop of `impasto submit` in simulated time: 1,000 nodes,
96,000 frames of 2 s, nodes slow, lost and taken back. It checks for each seed that every frame is stored, that no seat
has more than two chunks, and that nothing is given up, and prints the length of the jobs as multiples of the ideal.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time

from impasto.hosts.farm.chunks import OUTSTANDING, ChunkQueue
from impasto.hosts.farm.run import run_chunks
from tests.hosts.farm.simulated_seats import SimulatedSeats, Weather

NODES, FRAMES = 1000, 96000
FAIR = Weather()
ROUGH = Weather(slow=0.1, lost_every_s=1200.0, preempted=0.03)
WEATHERS = {"fair": FAIR, "rough": ROUGH}


def ratio_of(nodes: int, frames: int, seed: int, weather: Weather, attempts: int = 3) -> float:
    """Run a job, check what must hold for every one, and return its length as a multiple of the ideal."""
    seats, queue = SimulatedSeats(nodes, seed, weather), ChunkQueue(range(1001, 1001 + frames), attempts=attempts)
    assert run_chunks(queue, seats)
    assert (queue.done, queue.bad) == (frames, {})
    assert sorted(seats.stored) == list(range(1001, 1001 + frames))
    assert seats.most_outstanding <= OUTSTANDING
    return seats.now() / seats.ideal_s(frames)


def _ratio(task: tuple[str, int]) -> tuple[str, float]:
    name, seed = task
    return name, ratio_of(NODES, FRAMES, seed, WEATHERS[name], attempts=9)


def main(seeds: int = 200, processes: int = 1) -> None:
    """Run every seed in both weathers and print the spread of each."""
    begun = time.monotonic()
    found: dict[str, list[float]] = {name: [] for name in WEATHERS}
    tasks = [(name, seed) for seed in range(seeds) for name in WEATHERS]
    with multiprocessing.Pool(processes) as pool:
        for name, ratio in pool.imap_unordered(_ratio, tasks):
            found[name].append(ratio)
    for name, ratios in found.items():
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"{name:<6}{len(ratios)} seeds: least {low:.3f}, median {middle:.3f}, most {high:.3f}", flush=True)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
