"""A U-Net of residual blocks that learns a look from a few painted frames in minutes.

    picture, guides → pixel_unshuffle(2) → 3x3 → 3x3 stride 2 → 3x3 stride 2 → residual blocks at 1/8
    → up, skip joined, 3x3 → up, skip joined, 3x3 → residual block → input joined, 3x3 → gain and bias

The same contract as `UNet`: no statistics of the picture, gain and bias per full-resolution sample. It
starts as an ordinary random network around the identity and not as a smooth one, keeps a linear trunk
and sees cells of 2 pixels, so that it learns strokes in a tenth of the steps.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.generators.unet import UNet, UNetConfig

LEAK = 0.1
"""Slope of every activation below zero."""


@dataclass(frozen=True, slots=True)
class ResUNetConfig(UNetConfig):
    """Every choice: `widths` at 1/2, 1/4 and 1/8, and in `blocks` how many residual blocks stand at 1/8 (last)."""

    shuffle: int = 2
    widths: tuple[int, ...] = (24, 40, 64)
    blocks: tuple[int, ...] = (0, 0, 4)

    def __post_init__(self) -> None:
        if self.shuffle != 2 or len(self.widths) != 3 or len(self.blocks) != 3 or self.styles or self.refine:
            raise ValueError(f"expected a shuffle of 2, three widths, three blocks, no codes and no refinement: {self}")

    @property
    def radius(self) -> int:
        """How far, in pixels, a result can depend on the picture; an upper bound."""
        down = 3 + 2 + 4
        bottleneck = 2 * 8 * self.blocks[-1]
        up = (4 + 4) + (2 + 2)
        return down + bottleneck + up + 2 * 2 + 3


RES_SIZES: dict[str, ResUNetConfig] = {
    "draft": ResUNetConfig(widths=(16, 32, 48)),
    "standard": ResUNetConfig(widths=(24, 40, 64)),
    "fine": ResUNetConfig(widths=(32, 64, 96)),
}


class ResUNet(UNet):
    """The generator for keyframes; see `UNet` for what goes in and what comes out."""

    config: ResUNetConfig

    def __init__(self, config: ResUNetConfig) -> None:
        nn.Module.__init__(self)  # the layers of a UNet are not wanted
        self.config = config
        self.codes = None
        upper, middle, lower = config.widths
        seen = 4 * (3 + config.guides)
        self.first = edge_conv(seen, upper)
        self.to_middle = edge_conv(upper, middle, stride=2)
        self.to_lower = edge_conv(middle, lower, stride=2)
        self.bottleneck = nn.ModuleList(PreActivated(lower) for _ in range(config.blocks[-1]))
        self.join_middle: nn.Module = Join(lower, middle)
        self.join_upper: nn.Module = Join(middle, upper)
        self.finish = PreActivated(upper)
        self.last = edge_conv(upper + seen, 24)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias[:12] = 1.0

    def levels(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the way down makes of a picture behind the unshuffle: features at 1/2, 1/4 and 1/8."""
        upper = leaky(self.first(seen))
        middle = leaky(self.to_middle(upper))
        return upper, middle, leaky(self.to_lower(middle))

    def forward(self, picture: Tensor, code: Tensor | None = None) -> tuple[Tensor, Tensor]:
        seen = unshuffled(picture)
        upper, middle, x = self.levels(seen)
        for block in self.bottleneck:
            x = block(x)
        x = leaky(self.join_middle(x, middle))
        x = leaky(self.join_upper(x, upper))
        x = self.last(torch.cat((self.finish(x), seen), dim=1))
        gain, bias = F.pixel_shuffle(x, 2).chunk(2, dim=1)
        return gain, bias

    def fold(self, code: Tensor | None = None) -> ResUNet:
        """A copy for rendering: what joins the skips no longer doubles its coarse half first."""
        folded = copy.deepcopy(self).eval().requires_grad_(False)
        for name, child in self.named_children():
            if isinstance(child, Join):
                setattr(folded, name, child.fold())
        return folded.requires_grad_(False)


def unshuffled(picture: Tensor) -> Tensor:
    """A picture in [0, 1] as the first layer sees it: around zero, each 2x2 cell as channels."""
    return F.pixel_unshuffle(picture * 2 - 1, 2)


class PreActivated(nn.Module):
    """x plus two 3x3 convolutions, each behind its activation, so that the trunk stays linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = edge_conv(channels, channels)
        self.second = edge_conv(channels, channels)
        with torch.no_grad():
            self.second.weight.mul_(0.2)  # small but not zero: zero makes the first steps of Adam explode

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(leaky(self.first(leaky(x))))
        return x + change


class Join(nn.Conv2d):
    """A 3x3 convolution over the coarser level, every cell of it as four, and the skip beside it."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__(coarse + fine, fine, 3, padding=1, padding_mode="replicate")
        start_leaky(self)
        self.coarse = coarse

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]  # it joins two pictures
        return super().forward(torch.cat((doubled(x), skip), dim=1))

    @torch.no_grad()
    def fold(self) -> FoldedJoin:
        """The same function with the coarse half worked out where it is coarse; summed in float64."""
        assert self.bias is not None
        coarse, fine = self.weight.double().split((self.coarse, self.weight.shape[1] - self.coarse), dim=1)
        folded = FoldedJoin(self.coarse, fine.shape[1])
        folded.coarse.weight.copy_(doubling(doubling(coarse).transpose(2, 3)).transpose(2, 3).transpose(0, 1))
        folded.fine.weight.copy_(fine)
        assert folded.fine.bias is not None
        folded.fine.bias.copy_(self.bias)
        return folded.to(self.weight.device)


class FoldedJoin(nn.Module):
    """What a `Join` becomes for rendering: a transposed convolution of the coarse level, plus one of the skip.

    Four taps instead of nine for every sample, and nothing is doubled or put side by side.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=3, bias=False)
        self.fine = edge_conv(fine, fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        below: Tensor = self.coarse(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        beside: Tensor = self.fine(skip)
        return below + beside


def doubling(kernel: Tensor) -> Tensor:
    """Taps in rows (…, 3, n) on doubled samples as taps (…, 4, n) of a transposed convolution of stride 2."""
    above, middle, below = kernel.unbind(-2)
    return torch.stack((below, middle + below, above + middle, above), dim=-2)


def edge_conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that repeats the picture's edge, with weights for leaky activations."""
    return start_leaky(nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="replicate"))


def start_leaky(conv: nn.Conv2d) -> nn.Conv2d:
    """Draw a convolution's weights for leaky activations, in place."""
    nn.init.kaiming_normal_(conv.weight, a=LEAK, nonlinearity="leaky_relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def leaky(x: Tensor) -> Tensor:
    """The activation between all layers."""
    return F.leaky_relu(x, LEAK)


def doubled(x: Tensor) -> Tensor:
    """Every cell as four."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
