"""The training run: draw, step, guard, average, log, preview, checkpoint, until done or stopped."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import OutputError, TrainingError
from impasto.core.generators.unet import UNet
from impasto.training.best import Best
from impasto.training.checkpoint import load_checkpoint, save_checkpoint
from impasto.training.guard import Guard
from impasto.training.recipe import Recipe
from impasto.training.tracking import Tracker

LOG_EVERY = 50
KEEP_EVERY = 100
"""Steps after which weights are remembered as good, where nothing was skipped lately."""


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

    With `resume` the run goes on from the folder's checkpoint, bit for bit as if it had not
    stopped (on one machine, when the recipe counts steps).
    """
    torch.manual_seed(recipe.seed)
    device = torch.device(schedule.device)
    drawn = torch.Generator().manual_seed(recipe.seed)
    net = task.net().to(device)
    averaged = copy.deepcopy(net).requires_grad_(False)
    critic = task.critic().to(device)
    for module in (net, averaged, critic):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in place; missing in torch's stubs
    # eps well above Adam's default: with the usual one, early steps of a norm-free net are too long.
    for_net = torch.optim.Adam(net.parameters(), recipe.learning_rate, betas=(0.9, 0.999), eps=1e-6)
    for_critic = torch.optim.Adam(critic.parameters(), recipe.learning_rate / 2, betas=(0.5, 0.99))
    modules: dict[str, torch.nn.Module] = {"net": net, "averaged": averaged, "critic": critic}
    best = Best(copy.deepcopy(averaged)) if task.judge is not None else None
    if best is not None:
        modules["best"] = best.net
    optimizers = {"for_net": for_net, "for_critic": for_critic}
    guard, number, spent = Guard(), 0, 0.0
    checkpoint = schedule.folder / "checkpoint.safetensors"
    if schedule.resume and checkpoint.exists():
        facts = load_checkpoint(checkpoint, modules, optimizers, {"crops": drawn})
        if facts["data"] != task.digest:
            raise TrainingError(
                f"expected the pictures that '{checkpoint}' was trained on, got others; start anew without --resume"
            )
        number, spent = facts["step"], facts["seconds"]
        guard.mean_norm, guard.rate_factor = facts["mean_norm"], facts["rate_factor"]
        guard.skipped, guard.rollbacks = facts["skipped"], facts["rollbacks"]
        if best is not None:
            best.error, best.latest = facts["best"], facts["latest"]
    schedule.folder.mkdir(parents=True, exist_ok=True)
    guard.keep(averaged)
    begun = clock() - spent
    shown = saved = clock()
    means: dict[str, float] = {}

    def save() -> None:
        facts = {
            "step": number, "seconds": spent, "data": task.digest, "recipe": recipe.as_json(),
            "mean_norm": guard.mean_norm, "rate_factor": guard.rate_factor,
            "skipped": guard.skipped, "rollbacks": guard.rollbacks,
        }  # fmt: skip
        if best is not None:
            facts["best"], facts["latest"] = best.error, best.latest
        save_checkpoint(checkpoint, modules, optimizers, {"crops": drawn}, facts)

    def outcome() -> Trained:
        chosen = best.choose(averaged) if best is not None else averaged
        return Trained(chosen, number, spent, task.digest, dict(means))

    def show() -> None:
        if best is not None and task.judge is not None:
            means["held_out"] = task.judge(averaged)
            best.look(averaged, means["held_out"])
        trained = outcome()
        sheet = schedule.folder / "preview.png"
        task.show(trained.net, sheet)
        for tracker in schedule.trackers:
            tracker.sheet(number, sheet)
        if number:
            # A style is checked by a network built anew, which must not disturb the chance of the run.
            with torch.random.fork_rng(devices=[]):
                task.publish(trained)

    while True:
        spent = clock() - begun
        fraction = spent / (60 * recipe.minutes) if recipe.minutes else number / recipe.steps
        if fraction >= 1 or stopped():
            break
        rate = recipe.rate_at(number, fraction) * guard.rate_factor
        for optimizer, factor in ((for_net, 1.0), (for_critic, 0.5)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        task.progress(fraction)
        losses = task.step(net, critic, number, drawn)
        for_net.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.generator)
        if guard.admits(net, number):
            for_net.step()
        if losses.critic is not None:
            for_critic.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.critic)
            for_critic.step()
        follow(averaged, net, min(recipe.average, (number + 1) / (number + 10)))
        number += 1
        for name, value in losses.figures.items():
            means[name] = 0.98 * means.get(name, value) + 0.02 * value
        note = ""
        if guard.diverged():
            guard.roll_back(net, averaged)
            for_net.state.clear()  # moments of the exploding steps would lead straight back there
            note = f"training diverged at step {number}: back to the last good weights at half the learning rate"
        elif number % KEEP_EVERY == 0 and not guard.skipped:
            guard.keep(averaged)
        if note or number % LOG_EVERY == 0:
            on_progress(Progress(number, fraction, spent, dict(means), note))
            log_figures(schedule.folder / "log.csv", number, spent, means)
            for tracker in schedule.trackers:
                tracker.figures(number, means)
        try:
            if clock() - shown > schedule.preview_s:
                shown = clock()
                show()
            if clock() - saved > schedule.checkpoint_s:
                saved = clock()
                save()
        except OutputError as error:
            # Room may be made while it trains on; what was written before is still there.
            on_progress(Progress(number, fraction, spent, dict(means), f"{error}; it is tried again"))
    show()
    save()
    return outcome()


@torch.no_grad()
def follow(averaged: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the live ones (exponential moving average), in place."""
    for slow, fast in zip(averaged.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def log_figures(path: Path, number: int, seconds: float, figures: dict[str, float]) -> None:
    """Append one row to the run's CSV; a figure that comes later than the header does not get a column."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [
        "loss",
        "reconstruction",
        "texture",
        "consistency",
        "adversarial",
        "critic_gap",
        "out_of_range",
        "held_out",
    ]
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", *columns])
        writer.writerow([number, f"{seconds:.1f}", *(f"{figures.get(name, 0.0):.5f}" for name in columns)])
