"""What a run on pairs of pictures learns from, and the training itself: for all ways of training but keyframes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impasto.core.errors import TrainingError, UsageError
from impasto.hosts.events import RunWarning
from impasto.hosts.terminal.printer import counted
from impasto.hosts.terminal.train.run import RunContext, device_text

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.core.style_file import Style
    from impasto.training.data.pairs import Pair
    from impasto.training.recipe import Recipe
    from impasto.training.task import TrainingTask


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """What a run learns from."""

    task: TrainingTask
    text: str
    """A summary for a person."""
    pictures: int
    shown: Tensor
    """A plate (3, H, W), working space; painted, it becomes the thumbnail of the style."""
    codes: tuple[str, ...] = ()
    """Names of the styles in the network, where it holds several by code."""


@dataclass(frozen=True, slots=True)
class StartStyles:
    """The styles that a run starts from: teachers to distil, and a base to adapt."""

    distil_from: tuple[str, ...] = ()
    base: Style | None = None

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the base's generator, where there is a base."""
        from impasto.training.adapting import recipe_for

        return recipe if self.base is None else recipe_for(self.base, recipe)


def start_styles(distil_from: Sequence[str] | None, adapt: str | None, size: str | None) -> StartStyles:
    """The styles that the options name. UsageError for a size that is not the base's; errors of `load_style`."""
    from impasto.core.style_file import find_style, load_style
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
    return StartStyles(tuple(each for style in distil_from or () for each in _each_of(style)), base)


def _each_of(style: str) -> list[str]:
    """The style itself, or each style of a file that holds several, unless one of them is chosen."""
    from impasto.core.style_file import find_style, offered_by

    _, *choices = offered_by(find_style(style))
    return [str(choice) for choice, _ in choices] or [style]


def input_of_pairs(pairs: Sequence[Pair], recipe: Recipe, start: StartStyles, names: Sequence[str]) -> TrainingInput:
    """The input of a run on pairs. Where styles are distilled, they paint the plates of the pairs first.

    `names` are the names of the styles in the pairs. TrainingError for equal names, and for a base that cannot be
    adapted.
    """
    from impasto.training.data.pictures import as_float
    from impasto.training.objectives.pairs import task_for
    from impasto.training.teachers.distillation import painted_by

    text = counted(len(pairs), "pair")
    if start.distil_from:
        taught = names_of(start.distil_from)
        plates, text = list(pairs), f"{text} painted by {', '.join(taught)}"
        numbered = enumerate(start.distil_from)
        pairs = [pair for number, style in numbered for pair in painted_by(style, plates, number=number)]
        if len(start.distil_from) > 1:
            names = taught
    codes = distinct_codes(names) if len(names) > 1 or start.base is not None else ()
    shown = as_float(pairs[len(pairs) // 2].before)
    return TrainingInput(task_for(pairs, recipe, start.base), text, len(pairs), shown, codes)


def names_of(styles: Sequence[str]) -> list[str]:
    """Names for styles in one network: their short names where these differ, else with their files."""
    from impasto.core.style_file import find_style
    from impasto.core.style_reference import name_of, split_reference

    whole = [name_of(str(find_style(style))) for style in styles]
    short = [split_reference(name)[1] or name for name in whole]
    return short if len(set(short)) == len(short) else whole


def distinct_codes(names: Sequence[str]) -> tuple[str, ...]:
    """Names of styles, without the characters that a choice after '@' cannot have; TrainingError for equal ones."""
    codes = tuple(" ".join(re.sub(r"[@=+/\\]", " ", name).split()) or "style" for name in names)
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise TrainingError(f"expected styles of different names, got '{twice}' twice; rename one of the files")
    return codes


def train_style(run: RunContext, given: TrainingInput, recipe: Recipe, device: str) -> None:
    """Train until the end or Ctrl-C, write the style, and report both."""
    from impasto.training import loop
    from impasto.training.distributed import process_group
    from impasto.training.export import write_style
    from impasto.training.task import Schedule
    from impasto.training.tracking import trackers

    group, options = process_group(), run.options
    text = f"{given.text} on {device_text(device, group.size)}"
    run.reporter.show(RunWarning(f"{text}; what it looks like is in {run.preview}"))
    with trackers(run.folder, wandb=options.wandb) if group.is_main else nullcontext(()) as followed:
        trained = loop.run(
            given.task,
            recipe,
            Schedule(run.folder, resume=run.resume, device=device, trackers=followed),
            on_progress=run.show_progress,
            stopped=run.interrupts.asked,
        )
    # Without a step the weights are random.
    if trained.steps and group.is_main:
        label = options.label(given.codes)
        write_style(trained, recipe, options.output, label, pictures=given.pictures, shown=given.shown)
    run.show_end(trained)
