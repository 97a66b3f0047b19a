"""The bars of a benchmark: what a figure is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A bound for a figure."""

    value: float
    at_most: bool = False
    """A cost rather than a rate."""

    def verdict(self, figure: float) -> str:
        """'30: met', '<= 10: missed'."""
        is_met = figure <= self.value if self.at_most else figure >= self.value
        return f"{'<= ' if self.at_most else ''}{self.value:g}: {'met' if is_met else 'missed'}"


MOVIE_BARS: Mapping[tuple[str, int], float] = {("draft", 540): 30, ("standard", 540): 24, ("draft", 720): 15}
"""Size of a style, height of a movie -> frames per second from file to file, on two cores with matrix units (AMX)."""

PEAK_OF_4K = Bar(10, at_most=True)
"""Memory above the loaded engine over the size of a half RGBA frame."""

SERVED = Bar(1.03, at_most=True)
"""A 1080p half frame through a warm server over the same in the engine."""

MISSED, FOUND = Bar(1.03, at_most=True), Bar(0.10, at_most=True)
"""A frame that is painted and kept, and one that was kept, over the same painted; in processor time."""

COPIED, FAULTS = Bar(4.5, at_most=True), Bar(8, at_most=True)
VIEWED: Mapping[str, Bar] = {"1080p": Bar(2.0, at_most=True), "4K": Bar(1.5, at_most=True)}
INLINE: Mapping[str, Bar] = {"1080p": Bar(14, at_most=True), "4K": Bar(25, at_most=True)}
"""There and back, in memcpys of the frame."""

LATENCY: Mapping[str, Bar] = {
    "header_p50_ms": Bar(0.5, at_most=True),
    "ping_p50_ms": Bar(1, at_most=True),
    "ping_p99_ms": Bar(15, at_most=True),
    "two_in_flight": Bar(0.8, at_most=True),
}

OPENFX = Bar(12, at_most=True)
"""Milliseconds that the OpenFX effect adds to painting a 1080p frame of RGBA float32."""

SEAM = Bar(1.0, at_most=True)
"""Change of paint across the wrap of a sphere over that between the two other columns where it is largest."""
POLES = Bar(0.15, at_most=True)
"""How far the strength of paint at the poles may differ from that at the equator."""
SHARED = Bar(1.2, at_most=True)
"""Difference between two painted eyes on surfaces that both see, over that of their plates."""

ON_A_GPU: Mapping[str, str] = {
    "4K half, client to client, data-centre card": "60 fps",
    "1080p draft, client to client, 3060 class": "60 fps",
}
