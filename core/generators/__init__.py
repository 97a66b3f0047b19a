"""Pure networks: a picture in, a gain and a bias out. `GENERATORS` is the table of all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impasto.core.generators.resunet import RES_SIZES, ResUNet, ResUNetConfig
from impasto.core.generators.unet import SIZES, UNet, UNetConfig


@dataclass(frozen=True, slots=True)
class GeneratorFamily:
    """One class of networks, with its configuration and its named sizes."""

    network: type[UNet]
    config: type[UNetConfig]
    sizes: Mapping[str, UNetConfig]

    def build(self, config: Mapping[str, Any]) -> UNet:
        """The network that a card's generator.config describes; TypeError or ValueError where it does not."""
        return self.network(self.config(**with_tuples(config)))


def with_tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON made a list is a tuple again."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


GENERATORS: dict[str, GeneratorFamily] = {
    "unet": GeneratorFamily(UNet, UNetConfig, SIZES),
    "resunet": GeneratorFamily(ResUNet, ResUNetConfig, RES_SIZES),
}
"""Generator name on a card or in a recipe -> its family. The residual one learns a look in fewer steps and leaves no
lattice of 4 pixels; it takes 1.1 to 1.6 (draft) and 0.7 to 0.8 (standard) of the plain one's time, network alone, on
two cores (`python -m tests.bench quick`)."""
