"""The training run: draw, step, guard, average, log, preview, checkpoint, until done or stopped."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import OutputError, TrainingError
from impasto.core.generators.unet import UNet
from impasto.training.checkpoint import read_facts
from impasto.training.collapse_monitor import Probe, signs
from impasto.training.distributed import team
from impasto.training.divergence_guard import MOST_RETURNS
from impasto.training.losses.adversarial import CONTESTS
from impasto.training.recipe import Recipe
from impasto.training.state import Learners
from impasto.training.tracking import Tracker

LOG_EVERY = 50
KEEP_EVERY = 100
"""Steps after which the network is looked at, and its weights are remembered as good where nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a host shows while it trains."""

    step: int
    fraction: float
    seconds: float
    """Seconds of training so far, earlier runs that were resumed included."""
    figures: dict[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome: the averaged network and the facts for its card."""

    net: UNet
    steps: int
    seconds: float
    data_digest: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often a run shows itself and saves itself, in seconds, and where."""

    folder: Path
    preview_s: float = 60.0
    checkpoint_s: float = 60.0
    resume: bool = False
    device: str = "cpu"
    trackers: tuple[Tracker, ...] = ()
    """Told all figures and contact sheets, besides the log and the preview in the folder."""


@dataclass(frozen=True, slots=True)
class Step:
    """The two losses of one step, and figures for the log."""

    generator: Tensor
    critic: Tensor | None
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Task:
    """What a run does: how it learns, how it shows itself, and how it is judged."""

    net: Callable[[], UNet]
    """A new network; the draw of its weights is part of the run's chance."""
    digest: str
    """SHA-256 of everything it learns from."""
    step: Callable[[UNet, torch.nn.Module, int, torch.Generator], Step]
    """The losses of the step of this number, on a batch drawn with the generator; nothing is updated."""
    show: Callable[[UNet, Path], None]
    """Write a contact sheet."""
    critic: Callable[[], torch.nn.Module]
    """A new critic, with whatever else is learned beside the generator and left behind at the end."""
    probe: Callable[[], Probe] | None = None
    """Draw, from a chance of its own, what is looked at for signs of collapse."""
    judge: Callable[[UNet], float] | None = None
    """The error on what is held out of the training, where anything is; looked at whenever the run shows itself."""
    publish: Callable[[Trained], None] = lambda trained: None
    """Called with the weights so far whenever the run has shown itself; it may keep nothing of them."""
    progress: Callable[[float], None] = lambda fraction: None
    """Told before every step how far the run is, 0 to 1; what is drawn may depend on it."""


def require_room(smallest: int, recipe: Recipe) -> None:
    """TrainingError where a crop does not fit into the smallest picture, of which this is the shorter side."""
    if smallest < recipe.crop:
        raise TrainingError(
            f"expected pictures of at least {recipe.crop} pixels on each side, the smallest has {smallest}; "
            "use larger pictures or a smaller --crop"
        )


def run(
    task: Task,
    recipe: Recipe,
    schedule: Schedule,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train until the recipe's end or until `stopped`; keeps checkpoint, log and previews in a folder.

    With `resume` the run goes on from the folder's checkpoint, bit for bit as if it had not stopped (on one machine,
    when the recipe counts steps). A run that collapses or diverges goes back to its last good weights at a lower
    rate; where that does not help it ends with them. Of several processes that train together (`distributed.team`)
    the first alone writes, shows and tells.
    """
    mates = team()
    mates.require_even(recipe.batch)
    mates.require_same(task.digest)
    torch.manual_seed(recipe.seed)
    learners = Learners(task.net(), task.critic(), recipe, schedule.device, judged=task.judge is not None)
    probe = task.probe() if task.probe is not None else None
    checkpoint = schedule.folder / "checkpoint.safetensors"
    with mates.fetched(checkpoint, wanted=schedule.resume) as stored:
        if stored is not None:
            require_fit(stored, checkpoint, task, recipe)
            learners.load(stored)
    schedule.folder.mkdir(parents=True, exist_ok=True)
    begun = clock() - learners.seconds
    shown = saved = clock()
    figures: dict[str, float] = {}

    def outcome() -> Trained:
        return Trained(learners.chosen(), learners.number, learners.seconds, task.digest, dict(figures))

    def show() -> None:
        if task.judge is not None:
            figures["held_out"] = task.judge(learners.averaged)
            learners.look(figures["held_out"])
        trained = outcome()
        sheet = schedule.folder / "preview.png"
        task.show(trained.net, sheet)
        for tracker in schedule.trackers:
            tracker.sheet(trained.steps, sheet)
        if trained.steps:
            # A style is checked by a network built anew, which must not disturb the chance of the run.
            with torch.random.fork_rng(devices=[]):
                task.publish(trained)

    def tell(note: str) -> None:
        on_progress(Progress(learners.number, fraction, learners.seconds, dict(figures), note))

    def log() -> None:
        log_figures(schedule.folder / "log.csv", learners.number, learners.seconds, figures)
        for tracker in schedule.trackers:
            tracker.figures(learners.number, figures)

    def save() -> None:
        learners.save(checkpoint, task.digest)

    def attempt(work: Callable[[], None], then: str) -> None:
        try:
            work()
        except OutputError as error:
            tell(f"{error}; {then}")

    kept = learners.number > 0
    while True:
        learners.seconds, asked = mates.sums(clock() - begun if mates.leads else 0.0, float(stopped()))
        fraction = learners.seconds / (60 * recipe.minutes) if recipe.minutes else learners.number / recipe.steps
        if fraction >= 1 or asked or learners.guard.exhausted():
            break
        task.progress(fraction)
        losses = task.step(learners.net, learners.critic, learners.number, learners.drawn)
        learners.take(losses, fraction, mates)
        number, alarm = learners.number, learners.guard.alarm()
        if alarm or number % LOG_EVERY == 0:
            figures.update(mates.mean(learners.means))
        if not alarm and number % KEEP_EVERY == 0:
            seen = mates.heard(signs(learners.averaged, probe)) if probe is not None else {}
            alarm = learners.monitor.alarm(seen, figures, number, CONTESTS[recipe.contest].widest_gap)
            if not alarm and learners.guard.calm():
                learners.good.keep(learners.averaged, learners.critic)
                kept = True
        if alarm:
            learners.go_back()
        if not mates.leads:
            continue
        if alarm or number % LOG_EVERY == 0:
            tell(_returned(alarm, learners) if alarm else "")
            attempt(log, "the log is written again in a while")
        # Room may be made while it trains on; what was written before is still there.
        if clock() - shown > schedule.preview_s:
            shown = clock()
            attempt(show, "it is tried again")
        if clock() - saved > schedule.checkpoint_s:
            saved = clock()
            attempt(save, "it is tried again")
    if learners.guard.exhausted() and not kept:
        raise TrainingError(
            f"expected a run that learns, it diverged {MOST_RETURNS} times before it had weights worth keeping; give a "
            f"lower rate with --recipe, for example learning_rate = {recipe.learning_rate / 10:.1g}"
        )
    if mates.leads:
        try:
            show()
        finally:
            attempt(save, "--resume goes on from the checkpoint before")
    return outcome()


def require_fit(stored: Path, named: Path, task: Task, recipe: Recipe) -> None:
    """TrainingError where a checkpoint is of other pictures or networks; `named` is its path as the user knows it."""
    facts = read_facts(stored)
    if facts.get("data") != task.digest:
        raise TrainingError(
            f"expected the pictures that '{named}' was trained on, with the same styles, guides and --adapt, got "
            "others; start anew without --resume"
        )
    before = json.loads(facts["recipe"])
    for name in ("generator", "size", "contest"):
        if before.get(name) != getattr(recipe, name):
            raise TrainingError(
                f"expected the {name} '{before.get(name)}' with which '{named}' was trained, got "
                f"'{getattr(recipe, name)}'; give the same, or start anew without --resume"
            )


def _returned(alarm: str, learners: Learners) -> str:
    """What is said of a return to good weights."""
    told = f"training diverged at step {learners.number}, where {alarm}"
    if learners.guard.exhausted():
        return (
            f"{told}: it ends here with its last good weights, since {MOST_RETURNS} lower learning rates did not help"
        )
    peak = learners.recipe.learning_rate * learners.guard.rate_factor
    return f"{told}: back to the last good weights at half the learning rate ({peak:.2g} at most)"


def log_figures(path: Path, number: int, seconds: float, figures: Mapping[str, float]) -> None:
    """Append one row to the run's CSV, whose header stays as it is where there is one: an older run has fewer columns.

    OutputError where there is no room for it.
    """
    columns = [
        "loss",
        "reconstruction",
        "texture",
        "consistency",
        "adversarial",
        "critic_gap",
        "out_of_range",
        "held_out",
        "contrast",
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        header = _header(path)
        columns = header[2:] or columns
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not header:
                writer.writerow(["step", "seconds", *columns])
            writer.writerow([number, f"{seconds:.1f}", *(f"{figures.get(name, 0.0):.5f}" for name in columns)])
    except OSError as error:
        raise OutputError(f"could not write the log '{path}': {error}; free space in its folder") from error


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV; none where there is no file, or nothing in it."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])
