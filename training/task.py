"""What a training run is given and what it gives back: plain values, shared by the loop and the objectives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.generators.unet import UNet
from impasto.training.collapse_monitor import Probe
from impasto.training.recipe import Recipe
from impasto.training.tracking import Tracker


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The two losses of one step, and figures for the log."""

    generator: Tensor
    critic: Tensor | None
    """None where the critic does not learn in this step."""
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of a run: the averaged network and the facts for its card."""

    net: UNet
    steps: int
    seconds: float
    data_digest: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What a run learns: its networks, the losses of a step, its contact sheet and its validation."""

    net: Callable[[], UNet]
    """Build a new network; the draw of its weights belongs to the run's random numbers."""
    digest: str
    """SHA-256 of all training data."""
    step: Callable[[UNet, torch.nn.Module, int, torch.Generator], StepLosses]
    """The losses of the step of this number, on a batch drawn with the generator. It updates nothing."""
    preview: Callable[[UNet, Path], None]
    """Write a contact sheet."""
    critic: Callable[[], torch.nn.Module]
    """Build a new critic, with all else that learns beside the generator and is not exported."""
    probe: Callable[[], Probe] | None = None
    """Draw the fixed batch for the collapse monitor, with random numbers of its own."""
    validate: Callable[[UNet], float] | None = None
    """The error on held-out data, where there is any; computed at every preview."""
    publish: Callable[[Trained], None] = lambda trained: None
    """Receives the weights so far after every preview. It must not keep the network."""
    on_fraction: Callable[[float], None] = lambda fraction: None
    """Receives the fraction of the run, 0 to 1, before every step; what the step draws may depend on it."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """What a host shows while it trains."""

    step: int
    fraction: float
    seconds: float
    """Seconds of training so far, including earlier runs that were resumed."""
    figures: dict[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The folder of a run, and the seconds between two previews and two checkpoints."""

    folder: Path
    preview_s: float = 60.0
    checkpoint_s: float = 60.0
    resume: bool = False
    device: str = "cpu"
    trackers: tuple[Tracker, ...] = ()
    """They receive all figures and contact sheets, besides the log and the preview in the folder."""

    @property
    def checkpoint(self) -> Path:
        """The file from which a run can resume."""
        return self.folder / "checkpoint.safetensors"


def require_room(smallest: int, recipe: Recipe) -> None:
    """TrainingError where a crop does not fit into the smallest picture; `smallest` is its shorter side."""
    if smallest < recipe.crop:
        raise TrainingError(
            f"expected pictures of at least {recipe.crop} pixels on each side, the smallest has {smallest}; "
            "use larger pictures or a smaller --crop"
        )
