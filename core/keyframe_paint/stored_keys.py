"""Painted keys as tensors of a style file: the plate of each key, its paint, and where there is paint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from impasto.core.errors import StyleError

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.core.card import KeyFacts

PREFIX = "keys."
LONGEST_SIDE = 2048
"""Larger keys are stored at this size: at 2048x1152 one takes 17 MB in 8 bits and 31 MB in half."""


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """The keys of a shot, of one size, in working space, each in register with its plate.

    `plates` and `paints` are (N, 3, H, W) of the type that the facts name, `painted` is (N, 1, H, W) uint8: 255
    where the paint counts, 0 where it does not. Keys by hand come first, then those that were made from them; for
    these `invented`, (made, 1, H, W) uint8, says how much of the paint is no hand's, None without any. `guides` are
    the planes that the network saw beside the plates, (N, planes, H, W) float16, None for a style without.
    """

    facts: KeyFacts
    plates: Tensor
    paints: Tensor
    painted: Tensor
    guides: Tensor | None = None
    invented: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return sum(tensor.nbytes for tensor in tensors_of(self).values())


def tensors_of(keys: Keys) -> dict[str, Tensor]:
    """Name in the file -> tensor."""
    found = {f"{PREFIX}plates": keys.plates, f"{PREFIX}paints": keys.paints, f"{PREFIX}painted": keys.painted}
    further = {f"{PREFIX}guides": keys.guides, f"{PREFIX}invented": keys.invented}
    return found | {name: tensor for name, tensor in further.items() if tensor is not None}


def take_keys(tensors: dict[str, Tensor], facts: KeyFacts | None, source: str, guides: int = 0) -> Keys | None:
    """Take the keys that a card announces out of a file's tensors; StyleError, naming `source`, for any others.

    `guides` is how many planes the network sees beside the plates.
    """
    if facts is None:
        return None
    import torch

    count, height, width = len(facts.stored), facts.height, facts.width
    pictures = {"uint8": torch.uint8, "float16": torch.float16}[facts.samples]
    wanted = {
        "plates": ((count, 3, height, width), pictures),
        "paints": ((count, 3, height, width), pictures),
        "painted": ((count, 1, height, width), torch.uint8),
    }
    if guides:
        wanted["guides"] = ((count, guides, height, width), torch.float16)
    if facts.made:
        wanted["invented"] = ((len(facts.made), 1, height, width), torch.uint8)
    found = {}
    for name, (shape, dtype) in wanted.items():
        tensor = tensors.pop(PREFIX + name, None)
        if tensor is None or tuple(tensor.shape) != shape or tensor.dtype != dtype:
            came = "nothing" if tensor is None else f"{tuple(tensor.shape)} {tensor.dtype}"
            raise StyleError(
                f"expected {shape} {dtype} for '{PREFIX}{name}' in '{source}', got {came}; fetch the file again"
            )
        if dtype == torch.float16 and not torch.isfinite(tensor).all():
            raise StyleError(
                f"expected finite keys in '{source}', '{PREFIX}{name}' holds NaN or infinity; fetch or train it again"
            )
        found[name] = tensor
    return Keys(facts, found["plates"], found["paints"], found["painted"], found.get("guides"), found.get("invented"))
