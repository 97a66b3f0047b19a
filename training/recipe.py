"""The settings of a training run: every number that is not data."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.core.errors import TrainingError, UnknownName
from impasto.core.generators import GENERATORS
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS

RENAMED = {"contest": "adversarial_form"}
"""Earlier name of a setting, as recipes and checkpoints may still have it -> its name."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a run on before/after pairs.

    A style's card holds the settings that it was trained with.

    A run ends after `steps`, or after `minutes` of training when that is set. Weights are factors
    on the losses of the same name; 0 turns one off.
    """

    generator: str = "resunet"
    """A name of `impasto.core.generators.GENERATORS`."""
    size: Literal["draft", "standard", "fine"] = "standard"
    steps: int = 20_000
    minutes: float = 0.0
    batch: int = 6
    crop: int = 128
    rim: int = 16
    """Pixels at the edge of a crop that the losses leave out, since the network does not see the plate beyond them."""
    learning_rate: float = 1e-3
    warm_up: int = 60
    decay_from: float = 0.6
    """Fraction of the run after which the learning rate falls, to 5 % at the end."""
    reconstruction: float = 1.0
    texture: float = 0.15
    gram: float = 0.0
    """Of Gram matrices of random filters, for keyframes painted by a hand: try 0.02 on a GPU."""
    adversarial: float = 0.01
    adversarial_form: str = "hinge"
    """A name of `impasto.training.losses.adversarial.ADVERSARIAL_FORMS`: hinge, lsgan or wgan-gp."""
    contrast: float = 0.0
    """For two unpaired folders alone: how firmly each place must still show what the plate shows there."""
    consistency: float = 1.0
    consistency_every: int = 4
    out_of_range: float = 10.0
    adversarial_every: int = 2
    """The critic takes part in every n-th step; its loss weighs n times as much then."""
    critic_from: int = 300
    """Steps before the critic starts; the generator learns from it 100 steps later."""
    noise: float = 0.02
    """Largest standard deviation of the noise on the plate, so that grain does not become strokes."""
    gain: float = 0.05
    """Largest relative change of the plate's brightness that the result should ignore."""
    exposure: float = 0.0
    """Largest error of the plate's exposure, in stops of light, that the result should ignore; 0.1 is little."""
    compression: float = 0.0
    """Share of the plates that were a JPEG of some quality, so that blocks do not become strokes; try 0.1.

    Exposure and compression are off unless asked for: a short run was 0.3 dB worse on clean plates with both, within
    its noise, and as steady without (`python -m tests.bench.schedules`)."""
    progressive: float = 0.0
    """Fraction of the run, from its start, in which before/after pairs are seen at half their size.

    Off, because it brought nothing: 0.4 dB less on held-out plates in equal time, within the noise of one seed
    (`python -m tests.bench.schedules`)."""
    average: float = 0.998
    """Decay of the averaged weights, the ones that ship."""
    seed: int = 1
    mixed_precision: bool = True
    """Count in bfloat16 where that gains; see `impasto.training.cpu_pace`."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "consistency_every", "adversarial_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("compression", "progressive"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"expected {name} between 0 and 1, got {getattr(self, name)}")
        if self.generator not in GENERATORS:
            raise UnknownName("generator", self.generator, GENERATORS)
        if self.adversarial_form not in ADVERSARIAL_FORMS:
            raise UnknownName("adversarial form", self.adversarial_form, ADVERSARIAL_FORMS)
        sizes = GENERATORS[self.generator].sizes
        if self.size not in sizes:
            raise UnknownName("generator size", self.size, sizes)
        stride = sizes[self.size].stride
        if self.crop % stride or self.crop <= 2 * self.rim + stride:
            raise TrainingError(
                f"expected a crop that is a multiple of {stride} and larger than twice the rim ({2 * self.rim}), "
                f"got {self.crop}; give for example --crop 128"
            )

    def fraction_at(self, steps: int, seconds: float) -> float:
        """How far a run is after so many steps and seconds: 0 at its start, 1 or more at its end."""
        return seconds / (60 * self.minutes) if self.minutes else steps / self.steps

    def rate_at(self, step: int, progress: float) -> float:
        """Learning rate at a step, with `progress` in [0, 1] through the run."""
        rate = self.learning_rate * min(1.0, (step + 1) / self.warm_up)
        if progress > self.decay_from:
            rate *= max(0.05, (1 - progress) / (1 - self.decay_from))
        return rate

    def as_json(self) -> str:
        """One line for cards and checkpoints."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def with_current_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings under the names that they have today."""
    return {RENAMED.get(name, name): value for name, value in settings.items()}


def recipe_from(settings: dict[str, Any], base: Recipe | None = None) -> Recipe:
    """A recipe from names and values over a base; an unknown name is an error that offers the nearest.

    So is a value of another type.
    """
    base, settings = base or Recipe(), with_current_names(settings)
    known = {field.name: field.type for field in dataclasses.fields(Recipe)}
    for name, value in settings.items():
        if name not in known:
            raise UnknownName("recipe setting", name, known)
        wanted = type(getattr(base, name))
        number = wanted is float and isinstance(value, int) and not isinstance(value, bool)
        if not (isinstance(value, wanted) or number) or (isinstance(value, float) and not math.isfinite(value)):
            raise TrainingError(f"expected {name} to be {wanted.__name__}, got {value!r}")
    return dataclasses.replace(base, **settings)


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, for `recipe_from`; TrainingError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise TrainingError(
            f"expected a recipe in '{path}', it cannot be read ({error.strerror}); check the path"
        ) from error
    except (ValueError, RecursionError) as error:  # damaged TOML, other bytes than UTF-8, endless nesting
        raise TrainingError(f"expected TOML in '{path}', for example crop = 128; got: {error}") from error
