"""Pure networks: a picture in, a gain and a bias out. See `GENERATORS` for what a card may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from impasto.core.generators.unet import UNet, UNetConfig


def build_unet(config: Mapping[str, Any]) -> UNet:
    """The U-Net that a card's generator.config describes; TypeError or ValueError where it does not."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    return UNet(UNetConfig(**fields))


GENERATORS: dict[str, Callable[[Mapping[str, Any]], UNet]] = {"unet": build_unet}
"""Generator name on a card -> builder from its configuration."""
