"""The search for settings of a recipe: short runs, each validated on held-out data.

Optuna proposes settings and ends the runs that fall behind (extra `tune`); its journal is a file in the run's folder,
from which a search that was stopped or killed goes on.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from impasto.core.errors import OutputError, TrainingError, UnknownName, UsageError
from impasto.core.generators import GENERATORS
from impasto.core.generators.unet import UNet
from impasto.core.media.commit import make_folder
from impasto.training import loop
from impasto.training.data.pairs import Pair
from impasto.training.data.pictures import as_float
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.losses.texture import laplacian_swd
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe, recipe_from
from impasto.training.task import Schedule, TrainingTask

if TYPE_CHECKING:
    import optuna

VALIDATIONS = 8
"""How often a run is validated and draws its contact sheet, evenly over its time; after each it may be pruned."""
FIRST_RUNS = 3
"""Runs that are never pruned: only they show what is usual."""
EVERY = 4
"""Every fourth pair is held out."""
TEXTURE = 0.15
"""Weight of texture beside likeness in the validation error, whatever weight a recipe gives it."""
JOURNAL = "trials.journal"
"""Inside the folder of a search."""

Value: TypeAlias = float | int | str

_Optuna: TypeAlias = Any
"""The module, imported where a search begins: it is an optional package."""


@dataclass(frozen=True, slots=True)
class Span:
    """A setting between two numbers; `even` steps are those of its logarithm where the ends are far apart."""

    least: float
    most: float
    even: Literal["values", "logarithms"] = "logarithms"


SPACE: dict[str, Span | tuple[int | float, ...]] = {
    "learning_rate": Span(3e-4, 3e-3),
    "texture": Span(0.0, 0.5, "values"),
    "adversarial": Span(1e-3, 0.1),
    "consistency": Span(0.2, 3.0),
    "noise": Span(0.0, 0.04, "values"),
    "batch": (4, 6, 8, 12),
    "crop": (64, 96, 128, 192),
    "average": (0.99, 0.995, 0.998),
}
"""What is searched unless the user names settings: a span, or a few values."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a search."""

    number: int
    """Counted from 1."""
    settings: dict[str, Value]
    error: float | None
    """On held-out data, lower is better; None for a run without a finite error."""
    ended: Literal["whole", "pruned", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: over which base and settings, how many runs, how long each, and where the journal is."""

    base: Recipe
    names: Sequence[str]
    trials: int
    minutes_each: float
    folder: Path
    room: int
    """Shorter side of the smallest picture: no larger crops are tried."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.trials < 1 or not 0 < self.minutes_each < math.inf:
            raise UsageError(
                f"expected at least one trial of more than 0 minutes, got {self.trials} of {self.minutes_each:g}; "
                "give for example --trials 20 --minutes-each 5"
            )
        for name in self.names:
            if name not in SPACE:
                raise UnknownName("setting to search", name, SPACE)


def fitted(base: Recipe, room: int) -> Recipe:
    """The base with the largest crop, up to its own, that fits into so many pixels, and a rim that fits into the crop.

    TrainingError where the pictures have no room for any crop.
    """
    if base.crop <= room:
        return base
    stride = _stride(base)
    crop = room - room % stride
    if crop < 2 * stride:
        raise TrainingError(
            f"expected pictures of at least {2 * stride} pixels on each side, the smallest has {room}; "
            "use larger pictures"
        )
    return dataclasses.replace(base, crop=crop, rim=min(base.rim, (crop - stride - 1) // 2))


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """The pairs to learn from, and those to validate on; TrainingError where there is none to spare."""
    if len(pairs) < 2:
        raise TrainingError(
            f"expected at least two pairs, one of which is held out, got {len(pairs)}; add pictures to both folders"
        )
    held = set(range(1, len(pairs), EVERY))
    return [pair for n, pair in enumerate(pairs) if n not in held], [pairs[n] for n in sorted(held)]


@torch.no_grad()
def error_on(net: UNet, pairs: Sequence[Pair]) -> float:
    """The error of a network on held-out pairs: likeness, and texture with the same random numbers each time."""
    device = next(net.parameters()).device
    total = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for pair in pairs:
            result = stylize(net, as_float(pair.before).to(device), pair.style)[None]
            target = as_float(pair.after).to(device)[None]
            if pair.loss_mask is not None:
                result = torch.where(pair.loss_mask.to(device), result, target)
            total += float(multi_scale_l1(result, target)) + TEXTURE * float(laplacian_swd(result, target))
    return total / len(pairs)


def search(
    task_for: Callable[[Recipe], TrainingTask],
    plan: Search,
    *,
    on_trial: Callable[[Trial, Trial | None], None] = lambda trial, best: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Trial | None:
    """Run trials until there are as many as planned, or until `stopped`; the best whole one of them, if there is any.

    `task_for` makes the task of a recipe, with a `validate`, whose error rates a trial; its digest ties a journal to
    its data. `on_trial` receives each trial when it is over, with the best until then. TrainingError where the journal
    in the folder is of another search.
    """
    import optuna

    with _quiet(optuna):
        study = _study(optuna, plan, task_for(plan.base).digest)
        for lost in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(lost.number, state=optuna.trial.TrialState.FAIL)
        counted = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        failed = 0
        while len(study.get_trials(deepcopy=False, states=counted)) < plan.trials and not stopped():
            trial = _one(optuna, study, task_for, plan, stopped)
            failed = failed + 1 if trial.ended == "failed" else 0
            on_trial(trial, best_of(study))
            if failed == FIRST_RUNS:
                raise TrainingError(
                    f"expected runs that can be judged, {failed} in a row could not: none of their results was finite; "
                    "look at the pictures"
                )
        return best_of(study)


def best_of(study: optuna.Study) -> Trial | None:
    """The best trial that ran to its end."""
    whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not whole:
        return None
    best = min(whole, key=lambda trial: math.inf if trial.value is None else trial.value)
    return Trial(best.number + 1, dict(best.params), best.value, "whole")


def write_recipe(path: Path, base: Recipe, best: Trial) -> None:
    """Write the settings of the best trial, over what differs from the defaults, as TOML for `--recipe`.

    Whole or not at all; OutputError where it cannot be written. The length of a run is not part of it.
    """
    defaults = Recipe()
    differing = {
        field.name: getattr(base, field.name)
        for field in dataclasses.fields(Recipe)
        if getattr(base, field.name) != getattr(defaults, field.name)
    }
    settings = {name: value for name, value in (differing | best.settings).items() if name not in ("minutes", "steps")}
    lines = [f"# trial {best.number}, error on what was held out: {best.error:.5f}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in sorted(settings.items())]
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"could not write the recipe '{path}': {error}; choose another folder") from error


def _one(
    optuna: _Optuna,
    study: optuna.Study,
    task_for: Callable[[Recipe], TrainingTask],
    plan: Search,
    stopped: Callable[[], bool],
) -> Trial:
    """Ask for settings, run them, and tell the study how they did."""
    asked = study.ask()
    settings = _settings(asked, plan)
    errors: list[float] = []
    pruned = False
    recipe = recipe_from(settings | {"minutes": plan.minutes_each}, plan.base)
    task = task_for(recipe)
    validate = task.validate
    assert validate is not None

    def observed(net: UNet) -> float:
        nonlocal pruned
        error = validate(net)
        errors.append(error)
        if math.isfinite(error):
            asked.report(error, len(errors))
            pruned = pruned or asked.should_prune()
        return error

    number = asked.number + 1
    folder = plan.folder / f"trial-{number:03}"
    schedule = Schedule(
        folder, preview_s=60 * plan.minutes_each / VALIDATIONS, checkpoint_s=math.inf, device=plan.device
    )
    loop.run(
        dataclasses.replace(task, validate=observed, publish=lambda trained: None),
        recipe,
        schedule,
        stopped=lambda: pruned or stopped(),
    )
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    finite = [error for error in errors if math.isfinite(error)]
    states = optuna.trial.TrialState
    if not finite:
        study.tell(asked, state=states.FAIL)
        return Trial(number, settings, None, "failed")
    if pruned:
        study.tell(asked, state=states.PRUNED)
        return Trial(number, settings, finite[-1], "pruned")
    if stopped():
        study.tell(asked, state=states.FAIL)
        return Trial(number, settings, finite[-1], "stopped")
    # A run exports its best weights where the latest are clearly worse.
    study.tell(asked, min(finite))
    return Trial(number, settings, min(finite), "whole")


def _settings(asked: optuna.Trial, plan: Search) -> dict[str, Value]:
    settings: dict[str, Value] = {}
    for name in plan.names:
        space = SPACE[name]
        if isinstance(space, Span):
            settings[name] = asked.suggest_float(name, space.least, space.most, log=space.even == "logarithms")
        else:
            fitting = [value for value in space if name != "crop" or _takes(plan, value)]
            settings[name] = asked.suggest_categorical(name, fitting or [getattr(plan.base, name)])
    return settings


def _takes(plan: Search, crop: float) -> bool:
    """Whether a crop fits into the pictures, and the base's rim into the crop."""
    stride = _stride(plan.base)
    return crop <= plan.room and crop % stride == 0 and crop > 2 * plan.base.rim + stride


def _stride(recipe: Recipe) -> int:
    return GENERATORS[recipe.generator].sizes[recipe.size].stride


def _study(library: _Optuna, plan: Search, digest: str) -> optuna.Study:
    from optuna.storages.journal import JournalFileBackend

    journal = plan.folder / JOURNAL
    make_folder(str(journal))
    facts = {
        "data": digest,
        "base": plan.base.as_json(),
        "names": ",".join(sorted(plan.names)),
        "minutes_each": f"{plan.minutes_each:g}",
    }
    try:
        study: optuna.Study = library.create_study(
            storage=library.storages.JournalStorage(JournalFileBackend(str(journal))),
            study_name="recipe",
            direction="minimize",
            load_if_exists=True,
            pruner=library.pruners.MedianPruner(n_startup_trials=FIRST_RUNS, n_warmup_steps=VALIDATIONS // 4),
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"expected a journal of trials in '{journal}', could not use it: {error}; start anew with --overwrite"
        ) from error
    for name, value in facts.items():
        before = study.user_attrs.get(name)
        if before not in (None, value):
            raise TrainingError(
                f"expected the search that '{journal}' was begun with, its {name} differs; start anew with --overwrite"
            )
        if before is None:
            study.set_user_attr(name, value)
    # A resumed search draws new numbers: by the seed alone it would repeat its first trials.
    seed = plan.base.seed + len(study.get_trials(deepcopy=False))
    study.sampler = library.samplers.TPESampler(seed=seed, n_startup_trials=2 * FIRST_RUNS)
    return study


@contextmanager
def _quiet(optuna: _Optuna) -> Iterator[None]:
    """Let Optuna log nothing: the search reports its own trials."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
