"""Pure networks: a picture in, a gain and a bias out. See `GENERATORS` for what a card may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from impasto.core.generators.resunet import ResUNet, ResUNetConfig
from impasto.core.generators.unet import UNet, UNetConfig


def build_unet(config: Mapping[str, Any]) -> UNet:
    """The U-Net that a card's generator.config describes; TypeError or ValueError where it does not."""
    return UNet(UNetConfig(**with_tuples(config)))


def build_resunet(config: Mapping[str, Any]) -> ResUNet:
    """The residual U-Net that a card's generator.config describes; TypeError or ValueError where it does not."""
    return ResUNet(ResUNetConfig(**with_tuples(config)))


def with_tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON made a list is a tuple again."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


GENERATORS: dict[str, Callable[[Mapping[str, Any]], UNet]] = {"unet": build_unet, "resunet": build_resunet}
"""Generator name on a card -> builder from its configuration."""
