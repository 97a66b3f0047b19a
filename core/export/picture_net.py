"""A style's network as other programs run one: a picture in, the painted picture out, of any size.

Written so that both `torch.jit.script` and `torch.export` understand it: annotated, no library but torch, no
constant that would fix a type or a device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.generators.unet import UNet


class PictureNet(nn.Module):
    """Takes (1, 3 + guides, H, W) and returns (1, 3, H, W), both R, G, B and float32 or float16; any height and width.

    Inside, the picture is padded to the stride of the network by repeating its right and lower edge, and
    the result is cut back. `linear` false: sRGB-encoded Rec.709, nominally [0, 1], nothing is clamped. `linear` true:
    scene-linear Rec.709 of any value, encoded inside, with negative light and light above 1 carried around the
    network as in `impasto.core.colour.carry`; a pixel with NaN or infinity comes back as it came, and is black to
    its neighbours. Guides are passed as they are. `linear` may be set on a loaded TorchScript module as well.
    """

    def __init__(self, net: nn.Module, stride: int, *, linear: bool = False) -> None:
        super().__init__()
        self.net = net
        self.stride = stride
        self.linear = linear

    def forward(self, picture: Tensor) -> Tensor:
        if not self.linear:
            return self.paint(picture)
        light = picture[:, :3]
        sound = torch.isfinite(light).all(dim=1, keepdim=True)
        visible = torch.where(sound, light, torch.zeros_like(light))
        floor = visible.clamp(max=0.0)
        lit = visible - floor
        gain = lit.amax(dim=1, keepdim=True).clamp(min=1.0)
        painted = self.paint(torch.cat((encode(lit / gain), picture[:, 3:]), dim=1))
        return torch.where(sound, decode(painted) * gain + floor, light)

    def paint(self, picture: Tensor) -> Tensor:
        """Answer gain * picture + bias for a working picture of any size."""
        height, width = picture.shape[2], picture.shape[3]
        padded = F.pad(picture, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        gain, bias = self.net(padded)
        painted: Tensor = gain * padded[:, :3] + bias
        return painted[:, :, :height, :width]


def encode(linear: Tensor) -> Tensor:
    """Linear light through the sRGB curve, as `impasto.core.colour.encode` has it."""
    size = linear.abs()
    curve = 1.055 * size.pow(1.0 / 2.4) - 0.055
    return torch.where(size <= 0.0031308, size * 12.92, curve) * linear.sign()


def decode(encoded: Tensor) -> Tensor:
    """sRGB-encoded values as linear light, as `impasto.core.colour.decode` has it: odd, and going on above 1."""
    size = encoded.abs()
    curve = ((size + 0.055) / 1.055).pow(2.4)
    return torch.where(size <= 0.04044994, size / 12.92, curve) * encoded.sign()


def picture_net(generator: UNet, *, linear: bool) -> PictureNet:
    """A network ready to be exported: folded, float32, on the CPU; of several codes the first, as in the engine."""
    return PictureNet(generator.fold().float().cpu(), generator.config.stride, linear=linear).eval()
