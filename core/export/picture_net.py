"""A style's network for other programs: a picture in, the painted picture out, of any size.

Both `torch.jit.script` and `torch.export` can compile it: annotated, no library but torch, no constant that would
fix a type or a device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.export.guide_net import reader_of
from impasto.core.export.srgb import decode, encode
from impasto.core.generators.unet import UNet
from impasto.core.guides import Guide


class PictureNet(nn.Module):
    """Takes (1, 3 + guide channels, H, W) and returns (1, 3, H, W), float32 or float16; any height and width.

    Colour is R, G, B. Inside, the picture is padded to the stride of the network by repeating its right and lower
    edge, and the result is cut back. `linear` false: sRGB-encoded Rec.709, nominally [0, 1], nothing is clamped.
    `linear` true: scene-linear Rec.709 of any value, encoded inside, with negative light and light above 1 carried
    around the network as in `impasto.core.colour.hdr_residual`; a pixel with NaN or infinity comes back as it came, and
    is black to its neighbours. Guides are raw, one channel each, and are read by `reader`. `linear` can also be set on
    a loaded TorchScript module.
    """

    def __init__(self, net: nn.Module, reader: nn.Module, stride: int, *, linear: bool = False) -> None:
        super().__init__()
        self.net = net
        self.reader = reader
        self.stride = stride
        self.linear = linear

    def forward(self, picture: Tensor) -> Tensor:
        inputs: Tensor = self.reader(picture)
        if not self.linear:
            return self.paint(inputs)
        light = inputs[:, :3]
        valid = torch.isfinite(light).all(dim=1, keepdim=True)
        visible = torch.where(valid, light, torch.zeros_like(light))
        floor = visible.clamp(max=0.0)
        lit = visible - floor
        gain = lit.amax(dim=1, keepdim=True).clamp(min=1.0)
        painted = self.paint(torch.cat((encode(lit / gain), inputs[:, 3:]), dim=1))
        return torch.where(valid, decode(painted) * gain + floor, light)

    def paint(self, picture: Tensor) -> Tensor:
        """Gain * picture + bias for a working picture of any size."""
        height, width = picture.shape[2], picture.shape[3]
        padded = F.pad(picture, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        gain, bias = self.net(padded)
        painted: Tensor = gain * padded[:, :3] + bias
        return painted[:, :, :height, :width]


def picture_net(generator: UNet, guides: Sequence[Guide] = (), *, linear: bool) -> PictureNet:
    """A network ready for export: folded, float32, on the CPU; with several codes the first, as in the engine.

    Raises UsageError for guides that no exported file can read.
    """
    net = generator.fold().float().cpu()
    return PictureNet(net, reader_of(guides), generator.config.stride, linear=linear).eval()
