"""What the size of chunks costs on a farm, in simulated time: a table, and the plot of hosts/farm/README.md.

`python -m tests.bench.farm` prints the table and draws the plot anew. 100 nodes work for 200 s if nothing were lost;
they differ in pace by a quarter, 2 of 100 are six times as slow, each is lost every two hours of its work, and a chunk
takes 0.4 s to start. The curves are farms that hand out chunks of one size, one at a time; 'guided' is the loop of
`impasto submit --to local`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from impasto.hosts.farm.chunks import Chunk, ChunkQueue
from impasto.hosts.farm.run import run_chunks
from tests.hosts.farm.simulated_seats import SimulatedSeats, Weather

NODES, SECONDS, SEEDS = 100, 200.0, 3
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
FRAME_S = (0.2, 1.0, 5.0)
PLOT = Path(__file__).parents[2] / "hosts" / "farm" / "chunk_sizes.svg"
COLOURS = ("#c1440e", "#2a6f97", "#5b8c3a")
LEFT, TOP, WIDTH, HEIGHT, MOST = 60, 34, 520, 260, 4.0


class _FixedChunks(ChunkQueue):
    """Chunks of one size, one at a time, and none twice: what a farm does with a job of equal tasks."""

    def _plenty(self, state: object) -> bool:
        return False

    def _double(self, seat: str, state: object, now: float) -> Chunk | None:
        return None


def ratio(frame_s: float, size: int | None) -> float:
    """The length of a job as a multiple of the ideal, the median of some seeds; `size` None for guided chunks."""
    found = []
    for seed in range(SEEDS):
        seats = SimulatedSeats(NODES, seed, Weather(frame_s=frame_s, boot_s=(0.0, 5.0)))
        frames = range(round(NODES * SECONDS / frame_s))
        queue = ChunkQueue(frames) if size is None else _FixedChunks(frames, fixed=size)
        assert run_chunks(queue, seats)
        found.append(seats.now() / seats.ideal_s(len(frames)))
    return statistics.median(found)


def drawn(curves: Sequence[Sequence[float]], guided: Sequence[float]) -> str:
    """The plot as SVG."""

    def x(index: float) -> float:
        return LEFT + index * WIDTH / (len(SIZES) - 1)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - (min(value, MOST) - 1) / (MOST - 1))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 170} {TOP + HEIGHT + 56}" '
        'font-family="sans-serif" font-size="13" fill="#333"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="18">time of the job, as a multiple of the ideal</text>',
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 46}" text-anchor="middle">frames in a chunk</text>',
    ]
    for value in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for index, size in enumerate(SIZES):
        parts.append(f'<text x="{x(index):.1f}" y="{TOP + HEIGHT + 22}" text-anchor="middle">{size}</text>')
    for row, (frame_s, curve, flat, colour) in enumerate(zip(FRAME_S, curves, guided, COLOURS, strict=True)):
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in enumerate(curve))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(
            f'<path d="M{LEFT} {y(flat):.1f}h{WIDTH}" stroke="{colour}" stroke-width="1.5" stroke-dasharray="2 5"/>'
        )
        at = TOP + 30 + 48 * row
        parts.append(f'<text x="{LEFT + WIDTH + 16}" y="{at}" fill="{colour}">{frame_s:g} s a frame</text>')
        parts.append(f'<text x="{LEFT + WIDTH + 16}" y="{at + 18}" fill="{colour}">dotted, guided: {flat:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Print the table and draw the plot."""
    guided = [ratio(frame_s, None) for frame_s in FRAME_S]
    curves = [[ratio(frame_s, size) for size in SIZES] for frame_s in FRAME_S]
    print("s a frame   " + "".join(f"{size:>7}" for size in SIZES) + "  guided")
    for frame_s, curve, flat in zip(FRAME_S, curves, guided, strict=True):
        print(f"{frame_s:<12g}" + "".join(f"{value:7.2f}" for value in curve) + f"{flat:8.2f}")
    PLOT.write_text(drawn(curves, guided), encoding="utf-8")


if __name__ == "__main__":
    main()
