"""Which weights of a run are handed out: the latest, unless the run has begun to learn its keys by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from impasto.core.generators.unet import UNet

WORSE = 1.05
"""The latest weights give way to earlier ones whose error on what is held out was this many times smaller."""


@dataclass(slots=True)
class Best:
    """The averaged weights that did best so far on what is held out, in a network of their own."""

    net: UNet
    error: float = math.inf
    latest: float = math.inf

    @torch.no_grad()
    def look(self, averaged: UNet, error: float) -> None:
        """Take note of the error of the latest weights, and copy them where none were better."""
        self.latest = error
        if error <= self.error:
            self.error = error
            self.net.load_state_dict(averaged.state_dict())

    def choose(self, averaged: UNet) -> UNet:
        """The latest weights, or the best where the latest have become plainly worse."""
        return averaged if self.latest <= WORSE * self.error else self.net
