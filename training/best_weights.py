"""Which weights of a run are exported: the latest, unless the run has begun to overfit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from impasto.core.generators.unet import UNet

WORSE = 1.05
"""Earlier weights are exported where their error on held-out data was this many times smaller than the latest."""


@dataclass(slots=True)
class BestWeights:
    """The averaged weights with the smallest error so far on held-out data, in a network of their own."""

    net: UNet
    error: float = math.inf
    latest: float = math.inf

    @torch.no_grad()
    def note(self, averaged: UNet, error: float) -> None:
        """Take note of the error of the latest weights; copy them where none were better."""
        self.latest = error
        if error <= self.error:
            self.error = error
            self.net.load_state_dict(averaged.state_dict())

    def choose(self, averaged: UNet) -> UNet:
        """The latest weights, or the best where the latest have become clearly worse."""
        return averaged if self.latest <= WORSE * self.error else self.net
