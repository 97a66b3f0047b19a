"""The networks alone: frames per second, share of the convolution peak, and how many times a well-known peer.

The peer is the network of Johnson et al. 2016 (arXiv:1603.08155, supplement), which most style transfer in real time
still compares itself with: 32/64/128 channels, five residual blocks, instance norm; float32, as it is published.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from impasto.core.device.choice import PRECISIONS, has_bfloat16_units
from impasto.core.generators import GENERATORS
from impasto.core.generators.packed import pack, to_cells
from impasto.training.networks import new_network

FRAMES = {"512x288": (288, 512), "1280x720": (720, 1280)}
ROUNDS = 11
SHIPPED = "resunet"
BARS = {"draft": 100.0, "standard": 60.0}
"""Times the peer that the shipped sizes are to reach, each in its best precision."""


@dataclass(frozen=True, slots=True)
class NetworkFigure:
    """One network at one size: best of `ROUNDS`."""

    generator: str
    size: str
    precision: str
    frame: str
    milliseconds: float
    frames_per_second: float
    gmac: float
    of_peak: float
    """Multiply-adds per second over those of the best plain convolution measured in this run, in this precision."""
    of_peer: float
    """The peer's time over this network's."""

    @property
    def verdict(self) -> str:
        """The bar, and whether this row meets it; empty where the size does not ship."""
        bar = BARS.get(self.size) if self.generator == SHIPPED else None
        return "" if bar is None else f"{bar:.0f}: {'met' if self.of_peer >= bar else 'missed'}"


def best_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The quickest of several runs, after two that do not count."""
    best = float("inf")
    for index in range(rounds + 2):
        begun = time.perf_counter()
        work()
        if index >= 2:
            best = min(best, time.perf_counter() - begun)
    return best


def convolution_peak(dtype: torch.dtype) -> float:
    """GMAC/s of the quickest 3x3 convolution among sizes that the networks use; channels last."""
    peak = 0.0
    for channels, height, width in ((64, 72, 128), (128, 36, 64), (128, 90, 160), (256, 36, 64)):
        picture = torch.rand(1, channels, height, width).to(dtype).contiguous(memory_format=torch.channels_last)
        kernel = torch.rand(channels, channels, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)

        def convolve(picture: Tensor = picture, kernel: Tensor = kernel) -> Tensor:
            return F.conv2d(picture, kernel, padding=1)

        peak = max(peak, 9 * channels**2 * height * width / best_seconds(convolve) / 1e9)
    return peak


def precisions() -> list[str]:
    """What is worth measuring on this processor."""
    return ["float32", "bfloat16"] if has_bfloat16_units() else ["float32"]


def network_figures() -> tuple[dict[str, float], list[NetworkFigure]]:
    """The convolution peaks in GMAC/s by precision, and every network at every size of frame; CPU, packed."""
    figures = []
    with torch.inference_mode():
        peaks = {precision: convolution_peak(PRECISIONS[precision]) for precision in precisions()}
        other = Peer().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for frame, (height, width) in FRAMES.items():
            picture = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
            peer_s = best_seconds(lambda picture=picture: other(picture), 3)
            for generator, family in GENERATORS.items():
                for size in family.sizes:
                    folded = new_network(generator, size).fold()
                    cells = to_cells(torch.rand(height, width, 3), folded.config.shuffle)
                    for precision, peak in peaks.items():
                        net = pack(folded).to(PRECISIONS[precision]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                        inputs = cells.to(PRECISIONS[precision])
                        with FlopCounterMode(display=False) as counter:
                            net(inputs)
                        gmac = counter.get_total_flops() / 2e9
                        seconds = best_seconds(lambda net=net, inputs=inputs: net(inputs))
                        figures.append(
                            NetworkFigure(
                                generator, size, precision, frame, 1e3 * seconds, 1 / seconds, gmac,
                                gmac / seconds / peak, peer_s / seconds,
                            )
                        )  # fmt: skip
    return peaks, figures


class Peer(nn.Module):
    """The transformation network of Johnson et al. 2016, with nearest upsampling as its public copies have it."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(*_layer(3, 32, 9), *_layer(32, 64, 3, 2), *_layer(64, 128, 3, 2))
        self.blocks = nn.ModuleList(nn.Sequential(*_layer(128, 128, 3), *_layer(128, 128, 3)[:-1]) for _ in range(5))
        self.first, self.second = nn.Sequential(*_layer(128, 64, 3)), nn.Sequential(*_layer(64, 32, 3))
        self.last = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(32, 3, 9))

    def forward(self, picture: Tensor) -> Tensor:
        x = self.down(picture)
        for block in self.blocks:
            x = x + block(x)
        x = self.first(F.interpolate(x, scale_factor=2.0))
        result: Tensor = self.last(self.second(F.interpolate(x, scale_factor=2.0)))
        return result


def _layer(inputs: int, outputs: int, side: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, side, stride)
    return [nn.ReflectionPad2d(side // 2), convolution, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()]
