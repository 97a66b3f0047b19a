"""The networks alone, as frames per second and against the convolution peak of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from impasto.core.generators import GENERATORS
from impasto.training.networks import new_network

FRAMES = {"512x288": (288, 512), "1280x720": (720, 1280)}
ROUNDS = 11


@dataclass(frozen=True, slots=True)
class NetworkFigure:
    """One network at one size: best of `ROUNDS`."""

    generator: str
    size: str
    frame: str
    milliseconds: float
    frames_per_second: float
    gmac: float
    of_peak: float
    """Multiply-adds per second over those of the best plain convolution measured in this run."""


def best_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The quickest of several runs, after two that do not count."""
    best = float("inf")
    for index in range(rounds + 2):
        begun = time.perf_counter()
        work()
        if index >= 2:
            best = min(best, time.perf_counter() - begun)
    return best


def convolution_peak() -> float:
    """GMAC/s of the quickest 3x3 convolution among sizes that the networks use; float32, channels last."""
    peak = 0.0
    for channels, height, width in ((64, 72, 128), (128, 36, 64), (128, 90, 160), (256, 36, 64)):
        picture = torch.rand(1, channels, height, width).contiguous(memory_format=torch.channels_last)
        kernel = torch.rand(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)

        def convolve(picture: Tensor = picture, kernel: Tensor = kernel) -> Tensor:
            return F.conv2d(picture, kernel, padding=1)

        peak = max(peak, 9 * channels**2 * height * width / best_seconds(convolve) / 1e9)
    return peak


def network_figures() -> tuple[float, list[NetworkFigure]]:
    """The convolution peak in GMAC/s, and every network at every size of frame; CPU, float32, folded."""
    figures = []
    with torch.inference_mode():
        peak = convolution_peak()
        for generator, size in ((name, size) for name, family in GENERATORS.items() for size in family.sizes):
            net = new_network(generator, size).fold()
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for frame, (height, width) in FRAMES.items():
                picture = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
                with FlopCounterMode(display=False) as counter:
                    net(picture)
                gmac = counter.get_total_flops() / 2e9
                seconds = best_seconds(lambda net=net, picture=picture: net(picture))
                figures.append(
                    NetworkFigure(generator, size, frame, 1e3 * seconds, 1 / seconds, gmac, gmac / seconds / peak)
                )
            peak = max(peak, convolution_peak())
    return peak, figures
