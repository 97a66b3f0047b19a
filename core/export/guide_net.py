"""Guide channels read inside an exported file, by the rules of `impasto.core.guide_planes`.

Each reading is a small module, because TorchScript unrolls only lists of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from impasto.core.errors import UsageError
from impasto.core.export.srgb import encode
from impasto.core.guides import Guide, Reading


class GuideReader(nn.Module):
    """Turns (1, 3 + channels, H, W), raw guide channels after R, G, B, into the network's input."""

    def __init__(self, guides: Sequence[Guide]) -> None:
        super().__init__()
        self.readers = nn.ModuleList(READERS[guide.reading](guide.scale) for guide in guides)

    def forward(self, picture: Tensor) -> Tensor:
        planes = [picture[:, :3]]
        for index, reader in enumerate(self.readers):
            planes.append(reader(picture[:, 3 + index : 4 + index]))
        return torch.cat(planes, dim=1)


class NormalReader(nn.Module):
    """The reading 'normal'."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return (finite_or_zero(raw).clamp(-1.0, 1.0) + 1.0) / 2.0


class DepthReader(nn.Module):
    """The reading 'depth'."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, raw: Tensor) -> Tensor:
        near = 1.0 / (1.0 + finite_or_zero(raw).abs() / self.scale)
        return torch.where(torch.isfinite(raw), near, torch.zeros_like(raw))


class ColourReader(nn.Module):
    """The reading 'colour'."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return encode(finite_or_zero(raw).clamp(0.0, 1.0))


class MaskReader(nn.Module):
    """The reading 'mask'."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return finite_or_zero(raw).clamp(0.0, 1.0)


class VectorReader(nn.Module):
    """The reading 'vector'."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, raw: Tensor) -> Tensor:
        value = finite_or_zero(raw)
        return (1.0 + value / (self.scale + value.abs())) / 2.0


class PlainReader(nn.Module):
    """The reading 'plain'."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return finite_or_zero(raw)


READERS: dict[Reading, Callable[[float], nn.Module]] = {
    "normal": NormalReader,
    "depth": DepthReader,
    "colour": ColourReader,
    "mask": MaskReader,
    "vector": VectorReader,
    "plain": PlainReader,
}


def finite_or_zero(raw: Tensor) -> Tensor:
    """The samples, 0 where they are NaN or infinite."""
    return torch.where(torch.isfinite(raw), raw, torch.zeros_like(raw))


def reader_of(guides: Sequence[Guide]) -> nn.Module:
    """The module that reads these guides inside a file. UsageError for identifiers, which no such file can hash."""
    for guide in guides:
        if guide.reading not in READERS:
            raise UsageError(
                f"expected guides that an exported file can read, got the identifiers '{guide.channel}'; render this "
                "style through impasto, or train one without them"
            )
    return GuideReader(guides) if guides else nn.Identity()
