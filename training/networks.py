"""The generators that can be trained, by the name that a recipe and a card give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from impasto.core.generators.resunet import RES_SIZES, ResUNet
from impasto.core.generators.unet import SIZES, UNet, UNetConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of generators: one class and its sizes."""

    build: type[UNet]
    sizes: Mapping[str, UNetConfig]


KINDS: dict[str, Kind] = {"resunet": Kind(ResUNet, RES_SIZES), "unet": Kind(UNet, SIZES)}
"""Name of a generator on a card -> its family. The residual one learns a look in fewer steps and leaves no lattice of
4 pixels; it takes 1.1 to 1.6 (draft) and 0.7 to 0.8 (standard) of the plain one's time, network alone, on two cores
(`python -m tests.bench quick`)."""


CODE_WIDTH = 32
"""Numbers in the code of a style, where a network holds several."""


def new_network(generator: str, size: str, *, styles: int = 1, guides: int = 0) -> UNet:
    """An untrained network that holds so many styles and sees so many guide planes beside the picture.

    The draw of its weights comes from torch's global random state.
    """
    kind = KINDS[generator]
    config = replace(kind.sizes[size], guides=guides)
    return kind.build(config if styles == 1 else replace(config, styles=styles, code_width=CODE_WIDTH))


def kind_of(net: UNet) -> str:
    """The name of a network's family."""
    return next(name for name, kind in KINDS.items() if type(net) is kind.build)
