"""The training run: draw, step, guard, average, log, preview, checkpoint, until done or stopped."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.generators.unet import SIZES, UNet
from impasto.training.checkpoint import load_checkpoint, save_checkpoint
from impasto.training.data.pairs import Crops, Pair, as_float, digest, draw_crops
from impasto.training.discriminators import PatchGAN
from impasto.training.guard import Guard
from impasto.training.objectives.pairs import step as pairs_step
from impasto.training.preview import stylize, write_sheet
from impasto.training.recipe import Recipe

LOG_EVERY = 50


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


def train(
    pairs: Sequence[Pair],
    recipe: Recipe,
    schedule: Schedule,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train on pairs until the recipe's end or until `stopped`; keeps checkpoint, log and previews in a folder.

    With `resume` the run goes on from the folder's checkpoint, bit for bit as if it had not
    stopped (on one machine, when the recipe counts steps).
    """
    smallest = min(min(pair.before.shape[1:]) for pair in pairs)
    if smallest < recipe.crop:
        raise TrainingError(
            f"expected pictures of at least {recipe.crop} pixels on each side, the smallest has {smallest}; "
            "use larger pictures or a smaller --crop"
        )
    torch.manual_seed(recipe.seed)
    device = torch.device(schedule.device)
    drawn = torch.Generator().manual_seed(recipe.seed)
    net = UNet(SIZES[recipe.size]).to(device)
    averaged = copy.deepcopy(net).requires_grad_(False)
    critic = PatchGAN(6).to(device)
    for module in (net, averaged, critic):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in place; missing in torch's stubs
    # eps well above Adam's default: with the usual one, early steps of a norm-free net are too long.
    for_net = torch.optim.Adam(net.parameters(), recipe.learning_rate, betas=(0.9, 0.999), eps=1e-6)
    for_critic = torch.optim.Adam(critic.parameters(), recipe.learning_rate / 2, betas=(0.5, 0.99))
    modules = {"net": net, "averaged": averaged, "critic": critic}
    optimizers = {"for_net": for_net, "for_critic": for_critic}
    guard, number, spent = Guard(), 0, 0.0
    data_digest = digest(pairs)
    checkpoint = schedule.folder / "checkpoint.safetensors"
    if schedule.resume and checkpoint.exists():
        facts = load_checkpoint(checkpoint, modules, optimizers, {"crops": drawn})
        if facts["data"] != data_digest:
            raise TrainingError(
                f"expected the pictures that '{checkpoint}' was trained on, got others; start anew without --resume"
            )
        number, spent = facts["step"], facts["seconds"]
        guard.mean_norm, guard.rate_factor = facts["mean_norm"], facts["rate_factor"]
        guard.skipped, guard.rollbacks = facts["skipped"], facts["rollbacks"]
    guard.keep(averaged)
    begun = clock() - spent
    shown = saved = clock()
    means: dict[str, float] = {}

    def save() -> None:
        facts = {
            "step": number, "seconds": spent, "data": data_digest, "recipe": recipe.as_json(),
            "mean_norm": guard.mean_norm, "rate_factor": guard.rate_factor,
            "skipped": guard.skipped, "rollbacks": guard.rollbacks,
        }  # fmt: skip
        save_checkpoint(checkpoint, modules, optimizers, {"crops": drawn}, facts)

    while True:
        spent = clock() - begun
        fraction = spent / (60 * recipe.minutes) if recipe.minutes else number / recipe.steps
        if fraction >= 1 or stopped():
            break
        rate = recipe.rate_at(number, fraction) * guard.rate_factor
        for optimizer, factor in ((for_net, 1.0), (for_critic, 0.5)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        crops = on_device(draw_crops(pairs, recipe.batch, recipe.crop, recipe.rim, drawn), device)
        losses = pairs_step(net, critic, crops, recipe, number)
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
        elif number % 500 == 0 and not guard.skipped:
            guard.keep(averaged)
        if note or number % LOG_EVERY == 0:
            on_progress(Progress(number, fraction, spent, dict(means), note))
            log_figures(schedule.folder / "log.csv", number, spent, means)
        if clock() - shown > schedule.preview_s:
            preview(averaged, pairs, schedule.folder / "preview.png", device)
            shown = clock()
        if clock() - saved > schedule.checkpoint_s:
            save()
            saved = clock()
    save()
    preview(averaged, pairs, schedule.folder / "preview.png", device)
    return Trained(averaged, number, spent, data_digest, dict(means))


@torch.no_grad()
def follow(averaged: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the live ones (exponential moving average), in place."""
    for slow, fast in zip(averaged.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def on_device(crops: Crops, device: torch.device) -> Crops:
    """The batch where the networks are, in the memory order that convolutions like."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, memory_format=torch.channels_last, non_blocking=True)

    return Crops(move(crops.before), move(crops.after), move(crops.judged))


def preview(net: UNet, pairs: Sequence[Pair], path: Path, device: torch.device) -> None:
    """A contact sheet of up to four pictures spread over the pairs: plate, result, target."""
    rows: list[tuple[Tensor, ...]] = []
    for pair in pairs[:: max(1, len(pairs) // 4)][:4]:
        plate, target = as_float(pair.before), as_float(pair.after)
        rows.append((plate, stylize(net, plate.to(device)).cpu(), target))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sheet(path, rows)


def log_figures(path: Path, number: int, seconds: float, figures: dict[str, float]) -> None:
    """Append one row to the run's CSV; a figure that comes later than the header does not get a column."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["loss", "reconstruction", "texture", "consistency", "adversarial", "critic_gap", "out_of_range"]
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", *columns])
        writer.writerow([number, f"{seconds:.1f}", *(f"{figures.get(name, 0.0):.5f}" for name in columns)])
