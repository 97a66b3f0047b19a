"""The building blocks of generators, in the form that trains and the form that renders.

Every convolution pads by repeating the edge, because zeros around the picture would show at its rim.
"""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Net = TypeVar("Net", bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A block that has a simpler form for rendering than for training."""

    def fold(self, code: Tensor | None = None) -> nn.Module:
        """The same function for one style code."""
        ...


class RepConv(nn.Module):
    """A 3x3 convolution that trains as 3x3 + 1x1 + identity and always computes as one 3x3.

    The three branches are summed into one kernel before each use. That is exact, since all three are linear
    (RepVGG, Ding et al. 2021, arXiv:2101.03697, here without batch norm). With `code_width`, a style code scales and
    shifts the output channels; `fold` works that into the weights too. Heads set `relu` to False.
    """

    def __init__(self, inputs: int, outputs: int, *, code_width: int = 0, relu: bool = True) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.point = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.modulation = new_modulation(code_width, outputs)
        self.identity = inputs == outputs
        self.relu = relu
        # Beside an identity branch the learned branches start small. Without normalisation, a deep chain of blocks at
        # full strength diverges in the first steps.
        scale = 0.25 if self.identity else 0.7
        nn.init.kaiming_normal_(self.kernel, nonlinearity="relu")
        nn.init.normal_(self.point, std=0.02)
        with torch.no_grad():
            self.kernel.mul_(scale)

    def merged(self) -> Tensor:
        """The sum of the branches as one 3x3 kernel, (outputs, inputs, 3, 3)."""
        centre: Tensor = self.point
        if self.identity:
            centre = centre + torch.eye(centre.shape[0], dtype=centre.dtype, device=centre.device)
        return self.kernel + F.pad(centre[..., None, None], (1, 1, 1, 1))

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        y = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.merged(), self.bias)
        y = modulated(y, self.modulation, code)
        return F.relu(y) if self.relu else y

    @torch.no_grad()
    def fold(self, code: Tensor | None = None) -> FoldedConv:
        """The same function for one style code, as a plain convolution; summed in float64."""
        kernel, bias = with_code(self.merged(), self.bias, self.modulation, code)
        folded = FoldedConv(kernel.shape[1], kernel.shape[0], relu=self.relu)
        folded.kernel.copy_(kernel)
        folded.bias.copy_(bias)
        return folded.to(self.kernel.device)


def new_modulation(code_width: int, outputs: int) -> nn.Linear | None:
    """The layer that makes a scale and a shift for every output channel from a style code; None without codes."""
    if not code_width:
        return None
    modulation = nn.Linear(code_width, 2 * outputs)
    nn.init.normal_(modulation.weight, std=0.1)
    nn.init.zeros_(modulation.bias)
    return modulation


def modulated(y: Tensor, modulation: nn.Linear | None, code: Tensor | None) -> Tensor:
    """The output of a convolution, scaled and shifted by the style code: one code, or one for each picture."""
    if modulation is None:
        return y
    scale, shift = modulation(code)[..., None, None].chunk(2, dim=1)
    result: Tensor = y * (1 + scale) + shift
    return result


def with_code(kernel: Tensor, bias: Tensor, modulation: nn.Linear | None, code: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weights and bias, float64, of a convolution whose output a style code scales and shifts."""
    kernel, bias = kernel.double(), bias.double()
    if modulation is None:
        return kernel, bias
    scale, shift = modulation(code)[0].double().chunk(2)
    return kernel * (1 + scale)[:, None, None, None], bias * (1 + scale) + shift


def folded_copy(net: Net, code: Tensor | None) -> Net:
    """A copy of a network for rendering, with every block in its folded form for this style code."""
    folded = copy.deepcopy(net).eval()
    for module in list(folded.modules()):
        for name, child in module.named_children():
            if isinstance(child, Foldable):
                setattr(module, name, child.fold(code))
    return folded.requires_grad_(False)


class FoldedConv(nn.Module):
    """The form of a `RepConv` for rendering: edge padding, one 3x3 convolution, and a ReLU where `relu` is set."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.relu = relu

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        y = F.conv2d(padded(x), self.kernel, self.bias)
        return F.relu(y, inplace=True) if self.relu else y


def padded(x: Tensor) -> Tensor:
    """One pixel (in a packed network: one cell) of repeated edge on every side of (N, C, H, W)."""
    return edge_padded(x) if x.is_cuda else F.pad(x, (1, 1, 1, 1), mode="replicate")


def edge_padded(x: Tensor) -> Tensor:
    """One pixel of repeated edge on every side of (N, C, H, W), channels last whatever `x` is.

    On CUDA, torch's own padding returns memory in planes, and every convolution would first have to copy it into
    channels last. The values are the same. Not measured on a GPU.
    """
    count, channels, height, width = x.shape
    padded = torch.empty(
        (count, channels, height + 2, width + 2), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )
    padded[:, :, 1:-1, 1:-1] = x
    padded[:, :, 0, 1:-1], padded[:, :, -1, 1:-1] = x[:, :, 0], x[:, :, -1]
    padded[..., 0], padded[..., -1] = padded[..., 1], padded[..., -2]
    return padded


class ResidualBlock(nn.Module):
    """x plus two 3x3 convolutions of it: a deeper block for teachers, at twice the cost of a `RepConv`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate")
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate")
        for conv in (self.first, self.second):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        with torch.no_grad():
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        change: Tensor = self.second(F.relu(self.first(x)))
        return x + change


class SelfAttention(nn.Module):
    """Every position sees every other one (SAGAN, Zhang et al. 2018, arXiv:1805.08318).

    Every result depends on the whole picture, so tiles differ from the full frame. It is meant for teachers that are
    distilled, never for a style that ships.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 8)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        query, key, value = (conv(x).flatten(2).transpose(1, 2) for conv in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.weight * mixed.transpose(1, 2).reshape(x.shape)
