"""The form in which generators render: in cells of `shuffle` x `shuffle` pixels, without a pixel shuffle.

One copy turns a picture from rows into cells. A cell holds its pixels one after the other, and each pixel its planes.
The channels of the first and the last convolution are put into that order once, so that no frame needs a shuffle.
Fixed steps before and after are worked into the weights. The maps that come out are in cells too. They hold the gain
minus 1, because bfloat16 has eight bits of precision, and near zero all of them describe the change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from impasto.core.generators.blocks import FoldedConv, padded
from impasto.core.generators.resunet import EdgeConv, ResUNet, leaky
from impasto.core.generators.unet import UNet

PackedNetwork = Callable[[Tensor], Tensor]
"""A picture in cells -> its maps in cells; see `pack`."""


def to_cells(picture: Tensor, side: int) -> Tensor:
    """A picture (H, W, C) in cells: (1, side * side * C, H / side, W / side), channels last in memory.

    Height and width are multiples of `side`. Channels are numbered by row, column and plane within the cell.
    """
    height, width, planes = picture.shape
    cells = picture.reshape(height // side, side, width // side, side, planes).permute(0, 2, 1, 3, 4)
    return cells.reshape(1, height // side, width // side, side * side * planes).permute(0, 3, 1, 2)


def from_cells(cells: Tensor, side: int) -> Tensor:
    """The picture (H, W, C) of cells (1, side * side * C, H / side, W / side)."""
    _, channels, rows, columns = cells.shape
    planes = channels // side**2
    pixels = cells.permute(0, 2, 3, 1).reshape(rows, columns, side, side, planes).permute(0, 2, 1, 3, 4)
    return pixels.reshape(rows * side, columns * side, planes)


def apply_maps(maps: Tensor, colour: Tensor) -> Tensor:
    """The painted colour: (1 + gain) * colour + bias, in cells; `maps` is (1, 2 * n, h, w), `colour` (1, n, h, w)."""
    gain, bias = maps.chunk(2, dim=1)
    return torch.addcmul(bias, gain, colour).add_(colour)


def full_maps(maps: Tensor, side: int) -> Tensor:
    """Maps in cells as (H, W, 6): three planes of gain, less 1, and three of bias."""
    gain, bias = (from_cells(part, side) for part in maps.chunk(2, dim=1))
    return torch.cat((gain, bias), dim=2)


def painted_by(net: PackedNetwork, side: int, dtype: torch.dtype, picture: Tensor) -> Tensor:
    """A picture (H, W, 3 and guides) painted by a packed network that counts in `dtype`: (H, W, 3) float32."""
    cells = to_cells(picture, side)
    maps = net(cells.to(dtype)).float()
    if picture.shape[2] > 3:
        cells = to_cells(picture[..., :3], side)
    return from_cells(apply_maps(maps, cells), side)


def maps_of(net: PackedNetwork, side: int, dtype: torch.dtype, picture: Tensor) -> Tensor:
    """What a packed network that counts in `dtype` answers to a picture, as `full_maps`, float32."""
    return full_maps(net(to_cells(picture, side).to(dtype)).float(), side)


def input_order(planes: int, side: int) -> list[int]:
    """For every channel of a cell, the channel of `pixel_unshuffle` that holds the same sample."""
    return [plane * side**2 + place for place in range(side**2) for plane in range(planes)]


def output_order(side: int) -> list[int]:
    """For every channel of maps in cells, the channel that `pixel_shuffle` would take for the same sample."""
    area = side**2
    return [(which * 3 + plane) * area + place for which in range(2) for place in range(area) for plane in range(3)]


def bare_conv(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A 3x3 convolution without padding, with these weights."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, bias=bias is not None)
    with torch.no_grad():
        conv.weight.copy_(weight)
        if bias is not None and conv.bias is not None:
            conv.bias.copy_(bias)
    return conv.requires_grad_(False)


class PackedUNet(nn.Module):
    """A folded `UNet` in cells; see `pack`."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        self.side = side = net.config.shuffle
        stem, head = self.net.stem, self.net.head
        assert isinstance(stem, FoldedConv)
        assert isinstance(head, FoldedConv)
        with torch.no_grad():
            stem.kernel.copy_(stem.kernel[:, input_order(3 + net.config.guides, side)])
            order = output_order(side)
            head.kernel.copy_(head.kernel[order])
            head.bias.copy_(head.bias[order])
            head.bias[: 3 * side**2] -= 1

    def forward(self, cells: Tensor) -> Tensor:
        maps = self.net.trunk(cells)
        return self._refined(cells, maps) if self.net.refine else maps

    def _refined(self, cells: Tensor, maps: Tensor) -> Tensor:
        """The maps after the refinement, which works on pixels and not on cells."""
        rgb, gain, bias = (
            from_cells(part, self.side).permute(2, 0, 1)[None] for part in (cells, *maps.chunk(2, dim=1))
        )
        refined = self.net.refined(rgb[:, :3], gain + 1, bias)
        return torch.cat((maps.chunk(2, dim=1)[0], to_cells(refined[0].permute(1, 2, 0), self.side)), dim=1)


class PackedResUNet(nn.Module):
    """A folded `ResUNet` in cells; see `pack`.

    The scaling around zero (2x - 1) is worked into the weights, which is exact because the padding repeats edges. The
    last convolution, over features and picture joined, becomes two whose results are added, so that nothing is joined.
    """

    def __init__(self, net: ResUNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        order = input_order(3 + net.config.guides, 2)
        kernel, bias = _weights(net.first)
        self.first = bare_conv((2 * kernel)[:, order], bias - kernel.sum((1, 2, 3)))
        kernel, bias = _weights(net.last)
        kernel, bias = kernel[output_order(2)], bias[output_order(2)]
        upper = net.config.widths[0]
        beside = kernel[:, upper:]
        bias = bias - beside.sum((1, 2, 3))
        bias[:12] -= 1
        self.last = bare_conv(kernel[:, :upper], None)
        self.beside = bare_conv((2 * beside)[:, order], bias)
        del self.net.first, self.net.last

    def forward(self, cells: Tensor) -> Tensor:
        edged = padded(cells)
        # No name holds the finest features: they are what a large frame's memory is spent on.
        answer: Tensor = self.last(padded(self.net.features(leaky(self.first(edged), inplace=True))))
        return answer.add_(self.beside(edged))


def _weights(conv: EdgeConv) -> tuple[Tensor, Tensor]:
    """Kernel and bias in float64."""
    assert conv.bias is not None
    return conv.weight.detach().double(), conv.bias.detach().double()


PACKED: dict[type[UNet], Callable[..., nn.Module]] = {UNet: PackedUNet, ResUNet: PackedResUNet}
"""Family of generators -> its form in cells."""


def pack(net: UNet) -> nn.Module:
    """A folded network as the engine runs it: cells (1, side * side * planes, h, w) in, maps in cells out.

    `to_cells` makes the cells of a picture; `apply_maps` and `full_maps` read the maps. The result is that of the
    network itself, within 1e-5 in float32.
    """
    return PACKED[type(net)](net).eval().requires_grad_(False)
