"""Guide channels as a renderer stores them, read inside an exported file as `impasto.core.guide_planes` reads them.

One small module for each reading, because TorchScript unrolls lists of modules and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from impasto.core.errors import UsageError
from impasto.core.export.srgb import encode
from impasto.core.guides import Guide, Reading


class GuideReader(nn.Module):
    """Takes (1, 3 + channels, H, W), raw guide channels behind R, G, B; gives them as the network sees them."""

    def __init__(self, guides: Sequence[Guide]) -> None:
        super().__init__()
        self.readers = nn.ModuleList(READERS[guide.reading](guide.scale) for guide in guides)

    def forward(self, picture: Tensor) -> Tensor:
        planes = [picture[:, :3]]
        for index, reader in enumerate(self.readers):
            planes.append(reader(picture[:, 3 + index : 4 + index]))
        return torch.cat(planes, dim=1)


class NormalReader(nn.Module):
    """Reads as 'normal' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return (sound(raw).clamp(-1.0, 1.0) + 1.0) / 2.0


class DepthReader(nn.Module):
    """Reads as 'depth' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, raw: Tensor) -> Tensor:
        near = 1.0 / (1.0 + sound(raw).abs() / self.scale)
        return torch.where(torch.isfinite(raw), near, torch.zeros_like(raw))


class ColourReader(nn.Module):
    """Reads as 'colour' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return encode(sound(raw).clamp(0.0, 1.0))


class MaskReader(nn.Module):
    """Reads as 'mask' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return sound(raw).clamp(0.0, 1.0)


class VectorReader(nn.Module):
    """Reads as 'vector' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, raw: Tensor) -> Tensor:
        value = sound(raw)
        return (1.0 + value / (self.scale + value.abs())) / 2.0


class PlainReader(nn.Module):
    """Reads as 'plain' says."""

    def __init__(self, scale: float) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Tensor:
        return sound(raw)


READERS: dict[Reading, Callable[[float], nn.Module]] = {
    "normal": NormalReader,
    "depth": DepthReader,
    "colour": ColourReader,
    "mask": MaskReader,
    "vector": VectorReader,
    "plain": PlainReader,
}


def sound(raw: Tensor) -> Tensor:
    """The samples, 0 where they are NaN or infinite."""
    return torch.where(torch.isfinite(raw), raw, torch.zeros_like(raw))


def reader_of(guides: Sequence[Guide]) -> nn.Module:
    """What reads these guides inside a file. UsageError for identifiers, whose planes no such file can work out."""
    for guide in guides:
        if guide.reading not in READERS:
            raise UsageError(
                f"expected guides that an exported file can read, got the identifiers '{guide.channel}'; render this "
                "style through impasto, or train one without them"
            )
    return GuideReader(guides) if guides else nn.Identity()
