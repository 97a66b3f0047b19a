"""What a run on pairs of pictures learns from, and the run itself: shared by all ways of training but keyframes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impasto.core.errors import TrainingError, UsageError
from impasto.hosts.terminal.events import Warned
from impasto.hosts.terminal.report import counted
from impasto.hosts.terminal.train.session import Session, told_of

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.core.style import Style
    from impasto.training.data.pairs import Pair
    from impasto.training.recipe import Recipe
    from impasto.training.task import TrainingTask


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from."""

    task: TrainingTask
    told: str
    """In words, for a person."""
    pictures: int
    shown: Tensor
    """A plate (3, H, W), working space, whose painted thumbnail stands for the style."""
    codes: tuple[str, ...] = ()
    """Names of the styles in the network, where it holds several by code."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The styles that a run begins with: whose pictures it learns from, and whose network it adapts."""

    distil_from: tuple[str, ...] = ()
    base: Style | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the base's generator, where there is a base."""
        from impasto.training.adapting import recipe_for

        return recipe if self.base is None else recipe_for(self.base, recipe)


def begun_with(distil_from: Sequence[str] | None, adapt: str | None, size: str | None) -> Begun:
    """What the options name. Raises what `load_style` raises, and UsageError for a size that is not the base's."""
    from impasto.core.style import find_style, load_style
    from impasto.core.style_reference import split_reference

    if adapt is not None and split_reference(adapt)[1]:
        raise UsageError(
            f"expected a file of several styles to adapt, got the choice '{adapt}'; name the file alone: "
            f"{split_reference(adapt)[0]}"
        )
    base = None if adapt is None else load_style(find_style(adapt))
    if base is not None and size not in (None, base.card.size):
        raise UsageError(
            f"expected no --size, or '{base.card.size}' as '{adapt}' has, got '{size}'; a style that is adapted keeps "
            "its network"
        )
    return Begun(tuple(each for style in distil_from or () for each in _each_of(style)), base)


def _each_of(style: str) -> list[str]:
    """A style as it was named; each of those in a file that holds several, unless one of them was chosen."""
    from impasto.core.style import find_style, offered_by

    _, *choices = offered_by(find_style(style))
    return [str(choice) for choice, _ in choices] or [style]


def material_of(pairs: Sequence[Pair], recipe: Recipe, begun: Begun, names: Sequence[str]) -> Material:
    """Pairs of pictures as what a run learns from; with styles to distil, their pictures of the same plates.

    `names` are those of the styles that the pairs are painted in. Raises TrainingError for names that do not tell them
    apart, and for a base that cannot be adapted.
    """
    from impasto.training.data.pictures import as_float
    from impasto.training.objectives.pairs import task_for
    from impasto.training.teachers.style import painted_by

    told = counted(len(pairs), "pair")
    if begun.distil_from:
        taught = names_of(begun.distil_from)
        plates, told = list(pairs), f"{told} painted by {', '.join(taught)}"
        numbered = enumerate(begun.distil_from)
        pairs = [pair for number, style in numbered for pair in painted_by(style, plates, number=number)]
        if len(begun.distil_from) > 1:
            names = taught
    codes = codes_apart(names) if len(names) > 1 or begun.base is not None else ()
    shown = as_float(pairs[len(pairs) // 2].before)
    return Material(task_for(pairs, recipe, begun.base), told, len(pairs), shown, codes)


def names_of(styles: Sequence[str]) -> list[str]:
    """How styles are called in a network that learns them all: as in the file that holds several, else as the file."""
    from impasto.core.style import find_style
    from impasto.core.style_reference import name_of, split_reference

    whole = [name_of(str(find_style(style))) for style in styles]
    short = [split_reference(name)[1] or name for name in whole]
    return short if len(set(short)) == len(short) else whole


def codes_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Names of styles as a choice behind an '@' can spell them; TrainingError where two are the same."""
    codes = tuple(" ".join(re.sub(r"[@=+/\\]", " ", name).split()) or "style" for name in names)
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise TrainingError(f"expected styles of different names, got '{twice}' twice; rename one of the files")
    return codes


def learn(session: Session, material: Material, recipe: Recipe, device: str) -> None:
    """Train until the end or Ctrl-C, and write the style; both are told."""
    from impasto.training.distributed import process_group
    from impasto.training.export import write_style
    from impasto.training.loop import run
    from impasto.training.task import Schedule
    from impasto.training.tracking import trackers

    group, options = process_group(), session.options
    told = f"{material.told} on {told_of(device, group.size)}"
    session.reporter.show(Warned(f"{told}; what it looks like is in {session.preview}"))
    with trackers(session.folder, wandb=options.wandb) if group.is_main else nullcontext(()) as followed:
        trained = run(
            material.task,
            recipe,
            Schedule(session.folder, resume=session.resume, device=device, trackers=followed),
            on_progress=session.tell,
            stopped=session.interrupts.asked,
        )
    # Without a single step there is nothing but chance in the weights.
    if trained.steps and group.is_main:
        label = options.label(material.codes)
        write_style(trained, recipe, options.output, label, pictures=material.pictures, shown=material.shown)
    session.tell_end(trained)
