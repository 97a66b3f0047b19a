"""A U-Net of residual blocks that learns a look from a few painted frames in minutes.

    picture, guides → pixel_unshuffle(2) → 3x3 → 3x3 stride 2 → 3x3 stride 2 → residual blocks at 1/8
    → up, skip joined, 3x3 → up, skip joined, 3x3 → residual block → input joined, 3x3 → gain and bias

It keeps the contract of `UNet`: no statistics of the picture, a gain and a bias for every sample at full resolution. It
starts from random weights near the identity, without the smooth filters of `UNet`. Its trunk is linear, and its cells
have 2 pixels. With these it learns strokes in a tenth of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.generators.blocks import folded_copy, modulated, new_modulation, with_code
from impasto.core.generators.unet import UNet, UNetConfig

LEAK = 0.1
"""The slope of every activation below zero."""


@dataclass(frozen=True, slots=True)
class ResUNetConfig(UNetConfig):
    """Every choice: `widths` are the channels at 1/2, 1/4 and 1/8, the last of `blocks` the residual blocks at 1/8."""

    shuffle: int = 2
    widths: tuple[int, ...] = (24, 40, 64)
    blocks: tuple[int, ...] = (0, 0, 4)

    def __post_init__(self) -> None:
        if self.shuffle != 2 or len(self.widths) != 3 or len(self.blocks) != 3 or self.refine:
            raise ValueError(f"expected a shuffle of 2, three widths, three blocks and no refinement: {self}")
        if bool(self.styles) != bool(self.code_width):
            raise ValueError(f"expected styles and a width of their codes, or neither: {self}")

    @property
    def radius(self) -> int:
        """An upper bound, in pixels, of the distance over which a result can depend on the picture."""
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
        nn.Module.__init__(self)  # not of UNet, whose layers are others
        self.config = config
        width = config.code_width
        self.codes = nn.Parameter(torch.randn(config.styles, width)) if config.styles else None
        upper, middle, lower = config.widths
        seen = 4 * (3 + config.guides)
        self.first = EdgeConv(seen, upper, code_width=width)
        self.to_middle = EdgeConv(upper, middle, stride=2, code_width=width)
        self.to_lower = EdgeConv(middle, lower, stride=2, code_width=width)
        self.bottleneck = nn.ModuleList(PreActivated(lower, width) for _ in range(config.blocks[-1]))
        self.join_middle: nn.Module = UpBlock(lower, middle, width)
        self.join_upper: nn.Module = UpBlock(middle, upper, width)
        self.finish = PreActivated(upper, width)
        self.last = EdgeConv(upper + seen, 24)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias[:12] = 1.0

    def levels(self, seen: Tensor, code: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The features of an unshuffled picture on the way down, at 1/2, 1/4 and 1/8."""
        upper = leaky(self.first(seen, code), inplace=True)
        return upper, *self.lower_levels(upper, code)

    def lower_levels(self, upper: Tensor, code: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The features at 1/4 and 1/8 that follow from those at 1/2."""
        middle = leaky(self.to_middle(upper, code), inplace=True)
        return middle, leaky(self.to_lower(middle, code), inplace=True)

    def forward(self, picture: Tensor, code: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if code is None and self.codes is not None:
            code = self.codes[:1]
        seen = unshuffled(picture)
        x = self.features(leaky(self.first(seen, code), inplace=True), code)
        x = self.last(torch.cat((x, seen), dim=1))
        gain, bias = F.pixel_shuffle(x, 2).chunk(2, dim=1)
        return gain, bias

    def features(self, upper: Tensor, code: Tensor | None = None) -> Tensor:
        """Everything between the first and the last convolution, at 1/2."""
        middle, x = self.lower_levels(upper, code)
        for block in self.bottleneck:
            x = block(x, code)
        x = leaky(self.join_middle(x, middle, code), inplace=True)
        x = leaky(self.join_upper(x, upper, code), inplace=True)
        del upper, middle  # what no longer serves goes before the last block
        finished: Tensor = self.finish(x, code)
        return finished

    def fold(self, code: Tensor | None = None) -> ResUNet:
        """A copy for rendering: the style code (or blend of codes) is in the weights, and coarse halves stay coarse."""
        if code is None and self.codes is not None:
            code = self.codes[:1]
        return folded_copy(self, code)


def unshuffled(picture: Tensor) -> Tensor:
    """The input of the first layer for a picture in [0, 1]: scaled to [-1, 1], each 2x2 cell as channels."""
    return F.pixel_unshuffle(picture * 2 - 1, 2)


class EdgeConv(nn.Conv2d):
    """A 3x3 convolution that repeats the picture's edge, with weights for leaky activations.

    With a `code_width`, the style code scales and shifts its output, in networks that hold several styles.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, code_width: int = 0) -> None:
        super().__init__(inputs, outputs, 3, stride, 1, padding_mode="replicate")
        nn.init.kaiming_normal_(self.weight, a=LEAK, nonlinearity="leaky_relu")
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.modulation = new_modulation(code_width, outputs)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        return modulated(super().forward(x), self.modulation, code)

    def behind_activation(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """The convolution of `leaky(x)`, activated in the copy that the padding makes; `x` is let go."""
        edged = leaky(F.pad(x, (1, 1, 1, 1), mode="replicate"), inplace=True)
        del x
        return modulated(F.conv2d(edged, self.weight, self.bias, self.stride), self.modulation, code)

    @torch.no_grad()
    def fold(self, code: Tensor | None = None) -> nn.Module:
        """The same function for one style code, as a plain convolution; summed in float64."""
        assert self.bias is not None
        folded = EdgeConv(self.in_channels, self.out_channels, stride=self.stride[0])
        kernel, bias = with_code(self.weight, self.bias, self.modulation, code)
        folded.weight.copy_(kernel)
        assert folded.bias is not None
        folded.bias.copy_(bias)
        return folded.to(self.weight.device)


class PreActivated(nn.Module):
    """x plus two 3x3 convolutions of it. Activations come before the convolutions, so that the trunk stays linear."""

    def __init__(self, channels: int, code_width: int = 0) -> None:
        super().__init__()
        self.first = EdgeConv(channels, channels, code_width=code_width)
        self.second = EdgeConv(channels, channels, code_width=code_width)
        with torch.no_grad():
            self.second.weight.mul_(0.2)  # small and not zero: with zero, the first steps of Adam diverge

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        change = self.second.behind_activation(self.first.behind_activation(x, code), code)
        return change.add_(x)


class UpBlock(EdgeConv):
    """A convolution over the skip connection, joined with the coarser level at twice its size."""

    def __init__(self, coarse: int, fine: int, code_width: int = 0) -> None:
        super().__init__(coarse + fine, fine, code_width=code_width)
        self.coarse = coarse

    def forward(self, x: Tensor, skip: Tensor, code: Tensor | None = None) -> Tensor:  # type: ignore[override]  # two pictures
        return super().forward(torch.cat((doubled(x), skip), dim=1), code)

    @torch.no_grad()
    def fold(self, code: Tensor | None = None) -> nn.Module:
        """The same function for one style code. The coarse half is computed at the coarse level."""
        assert self.bias is not None
        kernel, bias = with_code(self.weight, self.bias, self.modulation, code)
        coarse, fine = kernel.split((self.coarse, kernel.shape[1] - self.coarse), dim=1)
        folded = FoldedUpBlock(self.coarse, fine.shape[1])
        folded.coarse.weight.copy_(doubling(doubling(coarse).transpose(2, 3)).transpose(2, 3).transpose(0, 1))
        folded.fine.weight.copy_(fine)
        assert folded.fine.bias is not None
        folded.fine.bias.copy_(bias)
        return folded.to(self.weight.device)


class FoldedUpBlock(nn.Module):
    """The form of an `UpBlock` for rendering: a transposed convolution of the coarse level, plus one of the skip.

    It takes four taps instead of nine for every sample of the coarse level, and enlarges and joins nothing.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=3, bias=False)
        self.fine = EdgeConv(fine, fine)

    def forward(self, x: Tensor, skip: Tensor, code: Tensor | None = None) -> Tensor:
        beside: Tensor = self.fine(skip)  # first, while there is nothing else of its size
        below: Tensor = self.coarse(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        return below.add_(beside)


def doubling(kernel: Tensor) -> Tensor:
    """Three taps on repeated samples, (…, 3, n), as four taps of a transposed convolution of stride 2, (…, 4, n)."""
    above, middle, below = kernel.unbind(-2)
    return torch.stack((below, middle + below, above + middle, above), dim=-2)


def leaky(x: Tensor, *, inplace: bool = False) -> Tensor:
    """The activation between all layers; `inplace` where nothing else reads `x`."""
    return F.leaky_relu(x, LEAK, inplace=inplace)


def doubled(x: Tensor) -> Tensor:
    """The picture at twice the size: every sample becomes four."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
