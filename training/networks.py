"""New generators for training, by the name that a recipe and a card give them."""

from __future__ import annotations

from dataclasses import replace

from impasto.core.generators import GENERATORS
from impasto.core.generators.unet import UNet

CODE_WIDTH = 32
"""Numbers in the code of a style, where a network holds several."""


def new_network(generator: str, size: str, *, styles: int = 1, guides: int = 0) -> UNet:
    """An untrained network that holds so many styles and sees so many guide planes beside the picture.

    The draw of its weights comes from torch's global random state.
    """
    family = GENERATORS[generator]
    config = replace(family.sizes[size], guides=guides)
    return family.network(config if styles == 1 else replace(config, styles=styles, code_width=CODE_WIDTH))


def generator_name(net: UNet) -> str:
    """The name of a network's family."""
    return next(name for name, family in GENERATORS.items() if type(net) is family.network)
