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
        """The network that a card's generator.config describes. TypeError or ValueError if it describes none."""
        return self.network(self.config(**with_tuples(config)))


def with_tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with tuples in the place of lists, which JSON has instead."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


GENERATORS: dict[str, GeneratorFamily] = {
    "unet": GeneratorFamily(UNet, UNetConfig, SIZES),
    "resunet": GeneratorFamily(ResUNet, ResUNetConfig, RES_SIZES),
}
"""Generator name on a card or in a recipe -> its family. The residual one learns a look in fewer steps, and its
results show no pattern of 4 pixels. It takes 1.1 to 1.6 (draft) and 0.7 to 0.8 (standard) times as long as the plain
one, for the network alone on two cores (`python -m tests.bench quick`)."""
