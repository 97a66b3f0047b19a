"""A U-Net behind a pixel-unshuffle that answers with a gain and a bias for every sample.

    picture, guides → pixel_unshuffle(s) → stem → blocks at 1/s → 2x2 down → blocks at 1/2s → 1x1 up
    and pixel_shuffle, skip added → blocks → head → gain and bias per full-resolution sample

The styled picture is `gain * picture + bias`. No layer uses statistics of the picture, so
each result sample depends on its neighbourhood alone, within `radius`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.generators.blocks import RepConv, ResidualBlock, SelfAttention, folded_copy


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Every choice of a U-Net. A style's card holds them under generator.config.

    `shuffle` is the side of the cells of the pixel-unshuffle. `widths` are the channels at 1/shuffle, 1/(2 shuffle), …
    `blocks` counts the 3x3 blocks of each level, the same on the encoder's and the decoder's side; the last number is
    that of the bottleneck. `refine` adds so many channels at full resolution. `guides` counts further input channels.
    `styles` counts the styles that the network holds, each with a code of length `code_width` (0: one style, no code).
    `residual` and `attention` are for teachers; see `blocks`.
    """

    shuffle: int = 4
    widths: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (2, 6)
    refine: int = 0
    guides: int = 0
    styles: int = 0
    code_width: int = 0
    residual: bool = False
    attention: bool = False

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this many pixels, and tiles must start at multiples of it."""
        return self.shuffle << (len(self.widths) - 1)

    @property
    def tileable(self) -> bool:
        """Whether a tile with its halo equals the full frame. Not with attention, which sees the whole picture."""
        return not self.attention

    @property
    def radius(self) -> int:
        """An upper bound, in pixels, of the distance over which a result can depend on the picture."""
        convs_per_block = 2 if self.residual else 1
        cell = self.shuffle
        reach = 2 * cell - 1  # the stem sees its own cell and the next one
        for level, count in enumerate(self.blocks):
            sides = 1 if level == len(self.blocks) - 1 else 2
            reach += sides * count * convs_per_block * cell * 2**level
            if sides == 2:
                reach += cell * 2**level  # down and up stay inside one cell of the next level
        return reach + cell + (2 if self.refine else 0)

    @property
    def halo(self) -> int:
        """The pixels that a tile needs around it: the radius, rounded up to the stride."""
        return math.ceil(self.radius / self.stride) * self.stride

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for the card."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


SIZES: dict[str, UNetConfig] = {
    "draft": UNetConfig(shuffle=4, widths=(32, 80), blocks=(2, 5)),
    "standard": UNetConfig(shuffle=4, widths=(64, 128), blocks=(2, 6)),
    "fine": UNetConfig(shuffle=2, widths=(32, 64, 128), blocks=(2, 3, 8), refine=8),
}


class UNet(nn.Module):
    """The generator: working-space picture in, gain and bias out.

    Takes (N, 3 + guides, H, W) with H and W multiples of `config.stride`, working space (sRGB
    encoded Rec.709, nominally [0, 1]); returns gain and bias, each (N, 3, H, W). `code` is
    (N, code_width) where the network holds several styles: a row of `codes`, or a blend of rows;
    the first by default.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, counts, code_width = config.widths, config.blocks, config.code_width

        def level(channels: int, count: int) -> nn.ModuleList:
            if config.residual:
                return nn.ModuleList(ResidualBlock(channels) for _ in range(count))
            return nn.ModuleList(RepConv(channels, channels, code_width=code_width) for _ in range(count))

        cell = config.shuffle**2
        self.codes = nn.Parameter(torch.randn(config.styles, code_width)) if config.styles else None
        self.stem = RepConv((3 + config.guides) * cell, widths[0], code_width=code_width)
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(level(width, count) for width, count in zip(widths[:-1], counts[:-1], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(upper, lower, 2, stride=2) for upper, lower in pairs)
        self.bottleneck = level(widths[-1], counts[-1])
        self.attention = SelfAttention(widths[-1]) if config.attention else None
        self.up = nn.ModuleList(nn.Conv2d(lower, 4 * upper, 1) for upper, lower in pairs)
        self.decoder = nn.ModuleList(level(width, count) for width, count in zip(widths[:-1], counts[:-1], strict=True))
        self.head = RepConv(widths[0], 6 * cell, relu=False)
        self.refine = nn.ModuleList()
        if config.refine:
            self.refine.append(RepConv(6, config.refine))
            self.refine.append(RepConv(config.refine, 3, relu=False))
        start_smooth(self)

    def forward(self, picture: Tensor, code: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if code is None and self.codes is not None:
            code = self.codes[:1]
        x = self.trunk(F.pixel_unshuffle(picture, self.config.shuffle), code)
        gain, bias = F.pixel_shuffle(x, self.config.shuffle).chunk(2, dim=1)
        return gain, self.refined(picture[:, :3], gain, bias)

    def trunk(self, cells: Tensor, code: Tensor | None = None) -> Tensor:
        """Everything between the unshuffle and the shuffle: cells in, gain and bias of each cell out."""
        x = self.stem(cells, code)
        skips: list[Tensor] = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            for block in cast(Iterable[nn.Module], blocks):
                x = block(x, code)
            skips.append(x)
            x = down(x)
        for block in self.bottleneck:
            x = block(x, code)
        if self.attention is not None:
            x = self.attention(x)
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = F.pixel_shuffle(up(x), 2) + skips.pop()
            for block in cast(Iterable[nn.Module], blocks):
                x = block(x, code)
        answer: Tensor = self.head(x)
        return answer

    def refined(self, rgb: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """The bias after the refinement at full resolution, where the network has one."""
        if not self.refine:
            return bias
        x = torch.cat((gain * rgb + bias, rgb), dim=1)
        for block in self.refine:
            x = block(x)
        return bias + x

    def fold(self, code: Tensor | None = None) -> UNet:
        """A copy for rendering: each block is one plain 3x3, with the style code (or blend of codes) in its weights."""
        if code is None and self.codes is not None:
            code = self.codes[:1]
        return folded_copy(self, code)


@torch.no_grad()
def start_smooth(net: UNet) -> None:
    """Start as the identity (gain 1, bias 0) with filters that do not shimmer when the plate moves.

    With ordinary random weights, each pixel of a cell has a function of its own, and the result flickers on every slow
    pan. So the stem starts as windowed waves over its whole support, and the steps down start as averages. The steps up
    and the head start with the same weights for every pixel of a cell (ICNR, Aitken et al. 2017, arXiv:1707.02937).
    Training may move away from this start.
    """
    shuffle = net.config.shuffle
    outputs, inputs = net.stem.kernel.shape[:2]
    planes = inputs // shuffle**2
    position = (torch.arange(3 * shuffle) + 0.5) / (3 * shuffle) - 0.5
    window = torch.cos(math.pi * position) ** 2
    frequency, angle, phase = torch.rand(3, outputs, 1, 1).mul_(
        torch.tensor([1.5, math.pi, 2 * math.pi]).view(3, 1, 1, 1)
    )
    across = position[:, None] * torch.sin(angle) + position * torch.cos(angle)
    wave = window[:, None] * window * torch.cos(2 * math.pi * frequency * across + phase)
    wave = wave / wave.flatten(1).norm(dim=1)[:, None, None]
    taps = torch.randn(outputs, planes, 1, 1) * wave[:, None]
    cells = taps.view(outputs, planes, 3, shuffle, 3, shuffle).permute(0, 1, 3, 5, 2, 4)
    net.stem.kernel.copy_(cells.reshape(outputs, inputs, 3, 3))
    net.stem.point.zero_()
    for conv in cast(Iterable[nn.Conv2d], net.down):
        conv.weight.copy_(conv.weight.mean((2, 3), keepdim=True).expand_as(conv.weight))
    for conv in cast(Iterable[nn.Conv2d], net.up):
        same_for_each_cell(conv.weight, 4)
        if conv.bias is not None:
            same_for_each_cell(conv.bias, 4)
    net.head.kernel.mul_(0.03)
    net.head.point.mul_(0.03)
    for weight in (net.head.kernel, net.head.point):
        same_for_each_cell(weight, shuffle**2)
    net.head.bias.zero_()
    net.head.bias[: net.head.bias.numel() // 2] = 1.0
    if net.refine:
        last = cast(RepConv, net.refine[-1])
        last.kernel.zero_()
        last.point.zero_()


def same_for_each_cell(weight: Tensor, cell: int) -> None:
    """Give the `cell` output channels that one pixel-shuffle spreads over a cell the same weights, in place."""
    groups = weight.view(-1, cell, *weight.shape[1:])
    groups.copy_(groups[:, :1].expand_as(groups).clone())
